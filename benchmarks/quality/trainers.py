"""All trainers by the name that lines have."""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType

from benchmarks.quality.contract import Grid, Learner, Task

OURS = "ours"
TITLES = {OURS: "ours", "sae_lens": "SAELens", "dictionary_learning": "dictionary_learning", "sparsify": "sparsify"}
FAMILIES = {"topk_aux": "topk"}  # kinds that are compared with those of another name


@dataclass(frozen=True)
class Entry:
    """A kind of a trainer."""

    trainer: str
    kind: str
    grid: Grid

    @property
    def family(self) -> str:
        """The kinds that it stands beside."""
        return FAMILIES.get(self.kind, self.kind)


def module_of(trainer: str) -> ModuleType:
    """Raises ImportError where it is not installed."""
    return importlib.import_module(f"benchmarks.quality.{trainer}")


def here() -> tuple[list[Entry], list[str]]:
    """What this environment can train, and a line for each trainer that it cannot."""
    found, missing = [], []
    for trainer in TITLES:
        try:
            kinds: dict[str, Grid] = module_of(trainer).KINDS
            found += [Entry(trainer, kind, grid) for kind, grid in kinds.items()]
        except ImportError as error:
            missing.append(f"{TITLES[trainer]}: not here ({error})")
    return found, missing


def learner(task: Task, shape: tuple[int, int]) -> Learner:
    """A dictionary before its first step."""
    made: Learner = module_of(task.trainer).make(task, shape)
    return made


def notes(entries: list[Entry]) -> Iterator[str]:
    """What each trainer was told beside its defaults."""
    for trainer in dict.fromkeys(entry.trainer for entry in entries):
        yield f"{TITLES[trainer]}: {module_of(trainer).NOTE}."

"""What is compared, and what a trainer is to this benchmark."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from torch import Tensor

from sparse_coding.core.dictionary import Dictionary

STEPS, BATCH, RATIO = 1000, 1024, 4
WARMUP, DECAY, PENALTY_WARMUP = 50, 300, 100  # steps: the default's shares of them
DEAD_AFTER = 20_000  # vectors, as ours: the peers' defaults are longer than this training, and so for ever
RATES = (2e-3, 4e-3, 1e-2, 2e-2)
SEEDS = (0, 1, 2)
L0S = (8.0, 16.0, 32.0)
CHOSEN_AT = 16.0  # the L0 at which the rate is chosen
PREFIXES = (1 / 32, 3 / 32, 7 / 32, 15 / 32)  # of the features, which Matryoshka trains to do by themselves


@dataclass(frozen=True)
class Grid:
    """The strengths that one trainer's kind is trained with, ascending: k, a wished L0, or the weight of a penalty.

    first: those at which rates are compared, with L0s around CHOSEN_AT. rises: L0 does with the strength.
    """

    strengths: tuple[float, ...]
    first: tuple[float, ...]
    rises: bool = False


EXACT = Grid(L0S, (CHOSEN_AT,), rises=True)  # as many codes as are asked for
ABOUT = Grid((7.0, 15.0, 30.0), (7.0, 15.0), rises=True)  # somewhat more on other vectors: one threshold for all


@dataclass(frozen=True)
class Task:
    """One training: the name of a trainer in trainers.py, a kind by our name."""

    trainer: str
    kind: str
    strength: float
    rate: float
    seed: int

    @property
    def name(self) -> str:
        """Of its line and its file."""
        return f"{self.trainer}_{self.kind}_{self.strength:g}_lr{self.rate:g}_s{self.seed}"

    def facts(self) -> dict[str, Any]:
        """As lines have them."""
        return asdict(self)

    @staticmethod
    def of(line: Mapping[str, Any]) -> "Task":
        """The training that a line tells of."""
        return Task(*(line[name] for name in Task.__dataclass_fields__))


class Learner(Protocol):
    """One dictionary in training, on vectors z that are centred and scaled to unit mean norm."""

    def step(self, z: Tensor) -> None:
        """One optimiser step on a batch [batch, d_act]."""

    def dictionary(self) -> Dictionary:
        """What has been learned up to now, of z."""

    def reconstruct(self, z: Tensor) -> Tensor:
        """z as its own class puts it together again: shows that `dictionary` is the same."""

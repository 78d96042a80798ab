"""All trainers by the name that the report uses, ours first."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType

from benchmarks.training.contract import CannotTrain, Parameters, Setting, Trainer

OURS = "ours"


@dataclass(frozen=True)
class Entry:
    """Where a trainer is: a module of this package, its function, its note, and the distribution that it needs.

    only: the architectures, where they are fewer than those of the module.
    """

    name: str
    module: str
    function: str = "make"
    note: str = "NOTE"
    distribution: str = ""
    only: tuple[str, ...] = ()

    def loaded(self) -> ModuleType:
        """Its module. Raises ImportError where the peer is not installed."""
        return importlib.import_module(f"benchmarks.training.{self.module}")

    def title(self) -> str:
        """The name, with the version of a peer."""
        return f"{self.name} {metadata.version(self.distribution)}" if self.distribution else self.name


ENTRIES = (
    Entry(OURS, "ours"),
    Entry("PyTorch loop", "torch_loop"),
    Entry("PyTorch loop, oneDNN", "torch_loop", "make_onednn", "NOTE_ONEDNN"),
    Entry("vmap ensemble", "vmap_ensemble"),
    Entry("SAELens", "sae_lens", distribution="sae-lens"),
    Entry("SAELens, sparse codes", "sae_lens", "make_sparse", "NOTE_SPARSE", only=("topk",)),
    Entry("SAELens, bfloat16", "sae_lens", "make_bf16", "NOTE_BF16"),
    Entry("dictionary_learning", "dictionary_learning", distribution="dictionary-learning"),
    Entry("sparsify", "sparsify", distribution="eai-sparsify"),
)


def available() -> tuple[list[Entry], list[str]]:
    """The trainers that can be imported here, and a line for each that cannot."""
    found, missing = [], []
    for entry in ENTRIES:
        try:
            entry.loaded()
            found.append(entry)
        except ImportError as error:
            missing.append(f"{entry.name}: not installed ({error})")
    return found, missing


def built(entries: list[Entry], setting: Setting, parameters: list[Parameters]) -> tuple[dict[str, Trainer], list[str]]:
    """The trainers of one setting, by name, and a line for each that refused."""
    found: dict[str, Trainer] = {}
    refused = []
    for entry in entries:
        module = entry.loaded()
        if setting.architecture in (entry.only or module.ARCHITECTURES):
            make: Callable[[Setting, list[Parameters]], Trainer] = getattr(module, entry.function)
            try:
                found[entry.name] = make(setting, parameters)
            except CannotTrain as error:
                refused.append(f"{entry.name}: {error}")
    return found, refused


def notes(entries: list[Entry]) -> list[str]:
    """What each of them does, and what it does that ours does not."""
    return [f"{entry.title()}: {getattr(entry.loaded(), entry.note)}." for entry in entries]

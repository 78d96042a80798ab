"""This project, through the interface that its own stage uses; needs the project's own environment."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from benchmarks.quality.contract import ABOUT, BATCH, EXACT, RATIO, STEPS, Grid, Task
from benchmarks.quality.vectors import SITE
from benchmarks.results import ROOT
from sparse_coding import methods
from sparse_coding.core.cut import Cut
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.training import choices
from sparse_coding.settings import grid, params_file, slices
from sparse_coding.settings.params import Params
from sparse_coding.stages import dictionaries

NOTE = "the default's settings but for the rate, which of all but L1 kinds is that of 8 codes a vector (`lr_grows_to`)"
KINDS = {
    "tied": Grid((0.0003, 0.0005, 0.0008, 0.0013, 0.002), (0.0008, 0.0013)),
    "untied": Grid((0.0003, 0.0005, 0.0008, 0.0013, 0.002), (0.0008, 0.0013)),
    "topk": EXACT,
    "topk_aux": EXACT,
    "batchtopk": ABOUT,
    "jumprelu": ABOUT,
    "gated": Grid((0.0005, 0.0008, 0.0013, 0.002), (0.0008, 0.0013)),
    "matryoshka": ABOUT,
}


@dataclass(frozen=True)
class Place:
    """What a member asks of the vectors that it is to learn from."""

    d_in: int
    cut: Cut = field(default_factory=Cut)

    @property
    def mean(self) -> Tensor:
        """Of normalised vectors."""
        return torch.zeros(self.d_in)


class Ours:
    """One member of a cell, as the stage makes it."""

    def __init__(self, task: Task, shape: tuple[int, int], **changes: Any) -> None:
        """changes: of the section `dictionaries`."""
        settings, name = settings_of(task, **changes)
        self.place: Any = Place(shape[1])
        self.member = dictionaries._member(settings, name, self.place, None)
        self.length = choices.length(settings.own.model_dump(), shape[1])

    def step(self, z: Tensor) -> None:
        """As the ensemble does it."""
        self.member.train([z * self.length])

    def dictionary(self) -> Dictionary:
        """Of z: nothing is folded in."""
        member = self.member
        folded = member.parameters, member.state, self.place.mean, 1 / self.length, member.penalty
        return member.architecture.fold(*folded)

    def reconstruct(self, z: Tensor) -> Tensor:
        """The dictionary is its own class."""
        return self.dictionary().reconstruct(z)


def settings_of(task: Task, **changes: Any) -> tuple[slices.DictionariesSlice, str]:
    """The settings of a cell of one member, and its name."""
    raw = params_file.load(ROOT / "params.yaml").model_dump(mode="json")
    strength = methods.of(task.kind).varies_in
    value = round(task.strength) if strength == "k" else task.strength
    raw["grid"] |= {"sites": [SITE], "architectures": [task.kind], "ratios": [RATIO], "seeds": [task.seed], "only": []}
    raw["grid"] |= {"l0": []} | {strength: [value]}
    raw["dictionaries"] |= {"steps": STEPS, "batch": BATCH} | changes
    raw["dictionaries"][task.kind]["lr"] = task.rate
    params = Params.model_validate(raw)
    (cell,) = grid.cells(params, SITE)
    return slices.dictionaries(params, cell), next(iter(cell.member_names))


def make(task: Task, shape: tuple[int, int]) -> Ours:
    """shape: (n_feat, d_act)."""
    return Ours(task, shape)

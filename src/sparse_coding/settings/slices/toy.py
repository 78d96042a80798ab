"""Which dictionaries the toy has, what each is called, and the settings that its steps see."""

from itertools import product
from typing import Any

from pydantic import Field

from sparse_coding.settings.params import Plots, Section
from sparse_coding.settings.params.toy import Condition, Toy, ToyTraining
from sparse_coding.settings.slices import about


class ToySlice(Section):
    """Dictionaries of one size on one stream of vectors: a cell. A member is its L1."""

    condition: Condition
    ratio: float
    seed: int
    members: dict[str, float]
    training: ToyTraining

    @property
    def name(self) -> str:
        """E.g. `independent_r2_s0`."""
        return f"{self.condition}_r{self.ratio:g}_s{self.seed}"


class ToyTablesSlice(Section):
    """What is gathered says itself what it is."""


class ToyFigureSlice(Section):
    """How the figure looks, and what its words tell of the training."""

    training: ToyTraining
    plots: Plots
    kinds: dict[str, Any] = Field(default={})  # what `methods` says of its architecture


def cells(toy: Toy) -> list[ToySlice]:
    """All cells, in the order of params.yaml; within a condition and seed from small to large dictionaries."""
    training = _training(toy)
    return [
        ToySlice(
            condition=condition,
            ratio=ratio,
            seed=seed,
            members={f"{toy.architecture}_r{ratio:g}_l1-{l1:g}_s{seed}": l1 for l1 in toy.l1},
            training=training,
        )
        for condition, seed, ratio in product(toy.conditions, toy.seeds, sorted(toy.ratios))
    ]


def figure(toy: Toy, plots: Plots) -> ToyFigureSlice:
    """The figure of all cells."""
    return ToyFigureSlice(training=_training(toy), plots=plots, kinds=about([toy.architecture]))


def _training(toy: Toy) -> ToyTraining:
    return ToyTraining(**toy.model_dump(include=set(ToyTraining.model_fields)))

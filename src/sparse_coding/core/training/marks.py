"""Dictionaries that one training gives on its way, beside the one at its end: snapshots."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Own = TypeVar("Own")


@dataclass(frozen=True)
class Marks:
    """What one training is to give. steps: after how many steps, by the name of what is written then."""

    steps: dict[str, int]

    @property
    def name(self) -> str:
        """What the training is known by: what it gives last."""
        return max(self.steps, key=lambda name: self.steps[name])

    @property
    def first(self) -> int:
        """The first of the steps: who is beyond it begins anew."""
        return min(self.steps.values())

    @property
    def last(self) -> int:
        """Where it is over."""
        return max(self.steps.values())

    def at(self, step: int) -> list[str]:
        """What is written when so many steps are done."""
        return [name for name, own in self.steps.items() if own == step]


def by_training(wanted: Iterable[tuple[Own, str, int]]) -> list[Marks]:
    """Of (what a training is made of, a name, its step): one for each training, in the order of their first names."""
    found: dict[Own, dict[str, int]] = {}
    for own, name, step in wanted:
        found.setdefault(own, {})[name] = step
    return [Marks(steps) for steps in found.values()]


def stops(marks: Sequence[Marks], begun: int) -> list[int]:
    """The steps at which something is written, of trainings that have done `begun` steps, ascending."""
    return sorted({step for each in marks for step in each.steps.values() if step >= begun})


def step_of(vectors: int | None, batch: int, steps: int) -> int:
    """After how many steps so many vectors are seen, a whole batch at a time; None: at the end."""
    return steps if vectors is None else min(-(-vectors // batch), steps)

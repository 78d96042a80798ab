"""What is to be trained next, from the lines that there are: so a run that was killed goes on where it was.

1. Seed 0 at L0 16: the two middle rates, then from the better one outwards while it gets better.
2. The other strengths at the best rate, until there are L0s around 8, 16 and 32.
3. The other seeds, with the same strengths.
"""

import math
from collections.abc import Iterable, Iterator

from benchmarks.quality.contract import CHOSEN_AT, L0S, RATES, SEEDS, Task
from benchmarks.quality.interpolated import at_l0, beside
from benchmarks.quality.lines import Line
from benchmarks.quality.trainers import Entry

MOST_ADDED = 3  # strengths beyond those of the grid, for one rate
OVERSHOOT = 1.1
MIDDLE = len(RATES) // 2


class Done:
    """The trainings of one entry that there are."""

    def __init__(self, entry: Entry, lines: Iterable[Line]) -> None:
        self.entry = entry
        own = (line for line in lines if (line.get("trainer"), line.get("kind")) == (entry.trainer, entry.kind))
        self.lines = {Task.of(line): line for line in own}

    def of(self, rate: float, seed: int) -> list[Line]:
        """Those at a rate, of a seed, by strength."""
        found = [line for task, line in self.lines.items() if (task.rate, task.seed) == (rate, seed)]
        return sorted(found, key=lambda line: line["strength"])

    def at(self, rate: float, seed: int, l0: float, what: str = "fvu") -> float | None:
        """FVU, or what else, at an L0; None where it has no L0s around it."""
        return at_l0([(line["l0"], line[what]) for line in self.of(rate, seed) if what in line], l0)

    def best_rate(self) -> float | None:
        """Of those that were tried, at L0 16; None where none of them has come there."""
        tried = {rate: self.at(rate, SEEDS[0], CHOSEN_AT) for rate in RATES}
        there = {rate: fvu for rate, fvu in tried.items() if fvu is not None}
        return min(there, key=there.__getitem__) if there else None


def next_task(entry: Entry, lines: Iterable[Line]) -> tuple[int, Task] | None:
    """The phase and the training that comes next; None when all is done."""
    done = Done(entry, lines)
    for phase, tasks in enumerate((_rates(done), *(_strengths(done, seed) for seed in SEEDS))):
        for task in tasks:
            if task not in done.lines:
                return phase, task
    return None


def _rates(done: Done) -> Iterator[Task]:
    """All that finding the best rate takes, as far as it can be said by now."""
    for rate in RATES[MIDDLE - 1 : MIDDLE + 1]:
        yield from _around(done, rate, done.entry.grid.first, (CHOSEN_AT,), SEEDS[0])
    below, above = (done.at(rate, SEEDS[0], CHOSEN_AT) for rate in RATES[MIDDLE - 1 : MIDDLE + 1])
    upwards = above is not None and (below is None or above <= below)
    for rate in RATES[MIDDLE + 1 :] if upwards else RATES[MIDDLE - 2 :: -1]:
        yield from _around(done, rate, done.entry.grid.first, (CHOSEN_AT,), SEEDS[0])
        if done.best_rate() != rate:
            return


def _strengths(done: Done, seed: int) -> Iterator[Task]:
    """All strengths at the best rate; seeds behind the first one take what that one took."""
    rate = done.best_rate()
    if rate is None:
        return
    taken = [line["strength"] for line in done.of(rate, SEEDS[0])]
    yield from _around(done, rate, done.entry.grid.strengths if seed == SEEDS[0] else taken, L0S, seed)


def _around(done: Done, rate: float, strengths: Iterable[float], l0s: Iterable[float], seed: int) -> Iterator[Task]:
    """Some strengths, and others until there are L0s around each of `l0s`."""
    for strength in strengths:
        yield Task(done.entry.trainer, done.entry.kind, strength, rate, seed)
    for l0 in l0s:
        there = done.of(rate, seed)
        nearest = beside([(line["l0"], line["strength"]) for line in there if "failed" not in line], l0)
        if nearest is not None and len(there) < len(done.entry.grid.strengths) + MOST_ADDED:
            yield Task(done.entry.trainer, done.entry.kind, _towards(*nearest, l0, done.entry.grid.rises), rate, seed)


def _towards(l0: float, strength: float, wanted: float, rises: bool) -> float:
    """The strength that should give an L0 just beyond `wanted`, from one that gives `l0`."""
    ratio = wanted / l0
    beyond = ratio * (OVERSHOOT if ratio > 1 else 1 / OVERSHOOT)
    found = strength * (beyond if rises else 1 / beyond)
    digits = 2 - math.floor(math.log10(found))
    return round(found) if rises and found >= 1 else round(found, digits)

"""Rounds in which every trainer takes its turn, so that a busy or a slow moment of the machine meets all of them."""

import gc
import statistics
import time
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from benchmarks.training.contract import Trainer
from benchmarks.training.trainers import OURS

WARM_UP = 3  # ours chooses how to compute by what it saw in earlier steps, and compiles what it needs then


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one optimiser step of one dictionary: on the clock, and of this process on the processor."""

    wall: float
    cpu: float


def timed(trainer: Trainer, batch: Tensor) -> Cost:
    """One step of all members, divided by their number."""
    wall, cpu = time.perf_counter(), time.process_time()
    trainer.step(batch)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Cost(1e3 * wall / trainer.members, 1e3 * cpu / trainer.members)


def rounds_of(trainers: dict[str, Trainer], batches: tuple[Tensor, ...], rounds: int) -> dict[str, list[Cost]]:
    """The costs of each trainer, one a round, after steps that do not count: they allocate, and ours compiles."""
    for name, trainer in trainers.items():
        for _ in range(WARM_UP if name == OURS else 1):
            trainer.step(batches[-1])
    costs: dict[str, list[Cost]] = {name: [] for name in trainers}
    names = list(trainers)
    gc.collect()
    for index in range(rounds):
        turn = index % len(names)
        for name in names[turn:] + names[:turn]:  # nobody always follows the same neighbour
            costs[name].append(timed(trainers[name], batches[index % len(batches)]))
    return costs


def spread(values: list[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


def rows_of(costs: dict[str, list[Cost]]) -> list[dict[str, Any]]:
    """A row a trainer: its times, and how many times those of ours, round by round."""
    rows = []
    for name, seen in costs.items():
        row: dict[str, Any] = {"trainer": name}
        for kind in ("cpu", "wall"):
            own = [getattr(cost, kind) for cost in seen]
            ours = [getattr(cost, kind) for cost in costs[OURS]]
            row[f"{kind}_ms"] = spread(own)
            row[f"{kind}_ratio"] = spread([a / b for a, b in zip(own, ours, strict=True)])
        rows.append(row)
    return rows

"""Two threads on two cores against one, ours: `python -m benchmarks.training.threads ROUNDS`, a process of its own.

Prints rows as JSON. Not pinned: the parent's other measurements are. The first row is a control, plain matrix products:
where that is below 2, the cores were not free, and ours cannot gain more either.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

import torch

from benchmarks.training.ours import Ours
from benchmarks.training.problem import SHAPES, parameters_of, settings, timed_batches
from benchmarks.training.timing import spread
from sparse_coding.core.training import processor

STEPS = 4  # of every member, a round
PRODUCTS, SIDE = 40, 1024


def seconds(work: Callable[[int], object], threads: int) -> float:
    """Wall seconds of some work done by so many threads."""
    began = time.perf_counter()
    work(threads)
    return time.perf_counter() - began


def products(threads: int) -> None:
    """Matrix products that have nothing to do with each other."""
    matrix = torch.ones(SIDE, SIDE)
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(lambda _: torch.mm(matrix, matrix), range(PRODUCTS)))


def row(what: str, work: Callable[[int], object], rounds: int) -> dict[str, Any]:
    """How many times faster two threads are, over the rounds."""
    seconds(work, 2)
    ratios = spread([seconds(work, 1) / seconds(work, 2) for _ in range(rounds)])
    return {"what": what, "value": ratios["median"], "unit": "times faster"} | ratios


def main(rounds: int) -> None:
    """The control, and untied with 50 codes in both shapes."""
    torch.set_num_threads(1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = [row(f"matrix products alone, two threads against one ({cores} cores)", products, rounds)]
    names = {f"d{d_act} untied L0 50" for _, d_act, _ in SHAPES}
    for setting in (setting for setting in settings() if setting.name in names):
        grid = Ours(setting, parameters_of(setting))
        batches = list(islice(cycle(timed_batches(setting)), STEPS))

        def train(threads: int, grid: Ours = grid, batches: list[torch.Tensor] = batches) -> None:
            processor.train(grid.dictionaries, iter(batches), threads)

        rows.append(row(f"{setting.name}: {grid.members} members, two threads against one", train, rounds))
    print(json.dumps(rows))


if __name__ == "__main__":
    main(int(sys.argv[1]))

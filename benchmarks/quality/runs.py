"""One training: its clock, its curve, and what came of it."""

import time
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

import torch

from benchmarks.quality.contract import STEPS, Learner
from benchmarks.quality.vectors import Vectors
from sparse_coding.core.cut import Cut
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics.reconstruction import Reconstruction

LOOKS = (25, 50, 100, 200, 300, 400, 500, 600, 700, 800, 900, STEPS)  # steps at which a curve has a point
ROWS = 4096  # measured at a time
ONE_PLACE = Cut()
LARGEST_DIFFERENCE = 1e-3  # between FVUs of a library's own class and of our dictionary of it
LIBRARIES = ("torch", "numba", "sae-lens", "dictionary-learning", "eai-sparsify")


@dataclass
class Clock:
    """Processor seconds of this process, of steps alone."""

    seconds: float = 0.0
    curve: list[tuple[int, float, float]] = field(default_factory=list)  # steps, seconds, FVU

    def timed(self, learner: Learner, batch: torch.Tensor) -> None:
        """A step."""
        began = time.process_time()
        learner.step(batch)
        self.seconds += time.process_time() - began


def trained(learner: Learner, vectors: Vectors, steps: int = STEPS) -> Clock:
    """All steps; the curve is of a sample of held-out vectors, and looking costs nothing."""
    clock, sample = Clock(), vectors.sample
    for step in range(steps):
        clock.timed(learner, vectors.batch(step))
        if step + 1 in LOOKS:
            clock.curve.append((step + 1, round(clock.seconds, 3), round(fvu_of(learner.dictionary(), sample), 5)))
    return clock


def measured(dictionary: Dictionary, z: torch.Tensor, cut: Cut = ONE_PLACE) -> dict[str, Any]:
    """FVU of what is put together, L0 and dead features; centring and scaling move none of them."""
    found = Reconstruction(cut.target(z).double().mean(0), dictionary.n_feat, n_clusters=1)
    for rows in z.split(ROWS):
        x = cut.source(rows)
        codes, one_cluster = dictionary.encode(x), torch.zeros(len(rows), dtype=torch.long)
        found.add(cut.target(rows), codes, dictionary.put_together(codes, x), one_cluster)
    return {"fvu": found.fvu.value, "l0": found.l0.value, "dead": found.dead, "n_feat": dictionary.n_feat}


def fvu_of(dictionary: Dictionary, z: torch.Tensor) -> float:
    """The share of variance that is not explained."""
    return float(measured(dictionary, z)["fvu"])


def by_own_class(learner: Learner, z: torch.Tensor) -> float:
    """FVU as the library itself puts vectors together."""
    left = (z - learner.reconstruct(z)).double().square().sum()
    return float(left / (z.double() - z.double().mean(0)).square().sum())


def outcome(learner: Learner, vectors: Vectors) -> dict[str, Any]:
    """On all held-out vectors. Raises ArithmeticError where the library's own class says something else."""
    dictionary, sample = learner.dictionary(), vectors.sample
    here, there = fvu_of(dictionary, sample), by_own_class(learner, sample)
    if abs(here - there) > LARGEST_DIFFERENCE:
        raise ArithmeticError(f"FVU {here:.5f} of the dictionary made of it, {there:.5f} by its own class")
    return measured(dictionary, vectors.normal(vectors.held_out))


def versions() -> dict[str, str]:
    """Of the libraries that are installed here."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found

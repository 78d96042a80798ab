"""A mean over seeds: few values, so the interval is Student's and not a bootstrap's."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import t


class OverSeeds(NamedTuple):
    """A mean and the ends of its 95 % interval; None with one seed, which has no spread."""

    mean: float
    low: float | None
    high: float | None


def over_seeds(values: Sequence[int | float]) -> OverSeeds:
    """mean +- t(0.975, n - 1) * s / sqrt(n), for n values, one a seed."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return OverSeeds(mean, None, None)
    half = float(t.ppf(0.975, n - 1) * np.std(values, ddof=1)) / math.sqrt(n)
    return OverSeeds(mean, mean - half, mean + half)

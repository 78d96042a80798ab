"""Means over features with 95 % intervals, by the percentile bootstrap (Efron & Tibshirani 1993, chapter 13).

And what goes with them: a test of two means, its correction for many, and how many features a difference takes.
"""

import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

COVERAGE = 0.95
_Z = NormalDist().inv_cdf((1 + COVERAGE) / 2)  # 1.96
_ROUNDING = 1e-12  # of the largest value: sums in another order differ by less
_CHUNK = 2**21  # values drawn at a time: flat memory however many features


class Interval(NamedTuple):
    """An estimate and the ends of its 95 % interval."""

    mean: float
    low: float
    high: float


def mean_interval(values: ArrayLike, resamples: int, seed: int) -> Interval:
    """The mean of `values`, one a feature. Raises ValueError where there are none or one is not finite."""
    data = _checked(values)
    return _interval(float(data.mean()), _resampled_means(data, resamples, np.random.default_rng(seed)))


def difference_interval(first: ArrayLike, second: ArrayLike, resamples: int, seed: int) -> Interval:
    """mean(first) - mean(second), resampling each by itself: features of two dictionaries are not pairs.

    Raises as `mean_interval`.
    """
    one, other = _checked(first), _checked(second)
    draws = np.random.default_rng(seed)
    resampled = _resampled_means(one, resamples, draws) - _resampled_means(other, resamples, draws)
    return _interval(float(one.mean() - other.mean()), resampled)


def weighted_mean_interval(values: ArrayLike, weights: ArrayLike, resamples: int, seed: int) -> Interval:
    """sum(weight * value) / sum(weight), resampling features with their weights (Efron & Tibshirani 1993, chapter 10).

    Raises as `mean_interval`, and ValueError unless there is a weight above 0 for each value.
    """
    data, weight = _checked(values), _checked(weights)
    if data.shape != weight.shape or (weight <= 0).any():
        raise ValueError(f"{data.size} values, {np.count_nonzero(weight > 0)} weights above 0: each value needs one")
    total, chosen = data * weight, _resampled(len(data), resamples, np.random.default_rng(seed))
    resampled = [total[index].sum(axis=1) / weight[index].sum(axis=1) for index in chosen]
    return _interval(float(total.sum() / weight.sum()), np.concatenate(resampled))


def permutation_p(first: ArrayLike, second: ArrayLike, resamples: int, seed: int) -> float:
    """Two-sided p-value of d = mean(first) - mean(second); features of two dictionaries are not pairs.

    p = (1 + #{|d*| >= |d|}) / (1 + resamples), where d* is the difference after all values were dealt out anew into
    two samples of the same sizes (Pitman 1937). The ones count the observed deal, so that p is never 0 and never too
    small (Phipson & Smyth 2010). What it tests is that both samples come from one distribution. Raises as
    `mean_interval`.
    """
    one, other = _checked(first), _checked(second)
    pooled, n = np.concatenate([one, other]), len(one)
    least = abs(one.mean() - other.mean()) - _ROUNDING * np.abs(pooled).max()
    draws, extreme = np.random.default_rng(seed), 0
    for size in _chunks(len(pooled), resamples):
        dealt = draws.permuted(np.tile(pooled, (size, 1)), axis=1)
        differences = dealt[:, :n].mean(axis=1) - dealt[:, n:].mean(axis=1)
        extreme += int(np.count_nonzero(np.abs(differences) >= least))
    return (1 + extreme) / (1 + resamples)


def holm(p: ArrayLike) -> Float[np.ndarray, " test"]:
    """p-values of a family, [test], corrected so that 5 % is the chance of any false find (Holm 1979).

    With p_1 <= ... <= p_m, the i-th becomes max over j <= i of min(1, (m - j + 1) p_j); the order stays that of `p`.
    Raises ValueError for what is no probability.
    """
    raw = np.asarray(p, np.float64)
    if raw.ndim != 1 or not ((raw >= 0) & (raw <= 1)).all():
        raise ValueError(f"{raw}: not a list of probabilities")
    order, corrected = np.argsort(raw), np.empty_like(raw)
    corrected[order] = np.maximum.accumulate(np.minimum(1, np.arange(len(raw), 0, -1) * raw[order]))
    return corrected


def features_needed(difference: float, sd: float, power: float = 0.8) -> int:
    """Features of each of two dictionaries that show a `difference` of their means with chance `power`, at 5 %.

    n = 2 (z_.975 + z_power)^2 sd^2 / difference^2, rounded up; sd: of scores over features (the normal approximation
    for a two-sided test of two means, e.g. Chow, Shao & Wang 2008, section 3.2). Raises ValueError for a difference
    of 0, a negative sd and a power that is not between 0 and 1.
    """
    if difference == 0 or sd < 0:
        raise ValueError(f"difference {difference}, sd {sd}: a difference is not 0, an sd not negative")
    z = _Z + NormalDist().inv_cdf(power)
    return max(1, math.ceil(2 * (z * sd / difference) ** 2))


def half_width(n: int, sd: float) -> float:
    """Of the 95 % interval of a mean over n features: z_.975 sd / sqrt(n), the normal approximation.

    Raises ValueError for n below 1 and for a negative sd.
    """
    if n < 1 or sd < 0:
        raise ValueError(f"n {n}, sd {sd}: at least one feature, an sd not negative")
    return _Z * sd / math.sqrt(n)


def _checked(values: ArrayLike) -> Float[np.ndarray, " feature"]:
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or data.size == 0 or not np.isfinite(data).all():
        raise ValueError(f"{data.size} values, {np.isfinite(data).sum()} finite: drop undefined scores and count them")
    return data


def _resampled_means(
    data: Float[np.ndarray, " feature"], resamples: int, draws: np.random.Generator
) -> Float[np.ndarray, " resample"]:
    return np.concatenate([data[index].mean(axis=1) for index in _resampled(len(data), resamples, draws)])


def _resampled(n: int, resamples: int, draws: np.random.Generator) -> Iterator[Int[np.ndarray, "resample feature"]]:
    """Which of n features each resample holds, a chunk of resamples at a time."""
    return (draws.integers(n, size=(size, n)) for size in _chunks(n, resamples))


def _chunks(n: int, resamples: int) -> list[int]:
    """How many resamples of n values to draw at a time."""
    step = max(1, _CHUNK // n)
    return [min(step, resamples - start) for start in range(0, resamples, step)]


def _interval(estimate: float, resampled: Float[np.ndarray, " resample"]) -> Interval:
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))

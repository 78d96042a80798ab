"""Means over features with 95 % intervals, by the percentile bootstrap (Efron & Tibshirani 1993, chapter 13)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

COVERAGE = 0.95
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


def _checked(values: ArrayLike) -> Float[np.ndarray, " feature"]:
    data = np.asarray(values, np.float64)
    if data.ndim != 1 or data.size == 0 or not np.isfinite(data).all():
        raise ValueError(f"{data.size} values, {np.isfinite(data).sum()} finite: drop undefined scores and count them")
    return data


def _resampled_means(
    data: Float[np.ndarray, " feature"], resamples: int, draws: np.random.Generator
) -> Float[np.ndarray, " resample"]:
    step = max(1, _CHUNK // len(data))
    sizes = [min(step, resamples - start) for start in range(0, resamples, step)]
    return np.concatenate([data[draws.integers(len(data), size=(size, len(data)))].mean(axis=1) for size in sizes])


def _interval(estimate: float, resampled: Float[np.ndarray, " resample"]) -> Interval:
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(resampled, [tail, 1 - tail])
    return Interval(estimate, float(low), float(high))

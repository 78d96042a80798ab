"""Every metric here is one sum over another; its interval comes from drawing whole clusters again.

A cluster is a run of vectors or tokens that belong together, such as a document or a block: its members are
alike, so single vectors drawn again would give intervals that are too narrow.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
SEED = 0  # the same draws for every dictionary, so that their intervals can be compared
MOST_CLUSTERS = 2048  # more would cost memory and change little

Sums = NDArray[np.float64]  # [cluster]


@dataclass(frozen=True, eq=False)
class Ratio:
    """sum(numerator) / sum(denominator), with both kept by cluster, [cluster] each."""

    numerator: Sums
    denominator: Sums

    @property
    def value(self) -> float | None:
        """The ratio; None where the denominator is not positive, which leaves it without meaning."""
        below = float(self.denominator.sum())
        return float(self.numerator.sum()) / below if below > 0 else None

    def interval(self) -> tuple[float | None, float | None]:
        """The 95 % percentile interval of a bootstrap over clusters (Efron & Tibshirani 1993, chapter 13).

        (None, None) with fewer than two clusters, or where a sum is not finite or a drawn denominator not positive.
        """
        if len(self.denominator) < 2 or not np.isfinite([self.numerator, self.denominator]).all():
            return None, None
        draws = _draws(len(self.denominator))
        above, below = draws @ self.numerator, draws @ self.denominator
        if not (below > 0).all():
            return None, None
        low, high = np.quantile(above / below, [0.025, 0.975])
        return float(low), float(high)

    def columns(self, name: str) -> dict[str, float | None]:
        """`name`, `<name>_low` and `<name>_high`: the value and its interval, as tables have them."""
        low, high = self.interval()
        return {name: self.value, f"{name}_low": low, f"{name}_high": high}


@lru_cache(maxsize=8)
def _draws(n_clusters: int) -> NDArray[np.float64]:
    """How often each cluster is drawn, [resample, cluster]."""
    shares = np.full(n_clusters, 1 / n_clusters)
    return np.random.default_rng(SEED).multinomial(n_clusters, shares, size=RESAMPLES).astype(np.float64)


def clusters(labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number the runs of equal `labels` from 0, [row] each; neighbours are joined above MOST_CLUSTERS runs."""
    if not len(labels):
        return np.zeros(0, np.int64)
    run = np.concatenate([[0], np.cumsum(labels[1:] != labels[:-1])]).astype(np.int64)
    n_runs = int(run[-1]) + 1
    return run if n_runs <= MOST_CLUSTERS else run * MOST_CLUSTERS // n_runs

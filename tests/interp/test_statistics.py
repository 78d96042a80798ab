import numpy as np
import pytest
from scipy.stats import bootstrap

from sparse_coding.interp.statistics import difference_interval, mean_interval


def test_intervals_cover_the_true_mean_as_often_as_they_say():
    random = np.random.default_rng(0)
    intervals = [mean_interval(random.normal(0.3, 1, 60), 1000, seed) for seed in range(500)]
    covered = np.mean([interval.low <= 0.3 <= interval.high for interval in intervals])
    assert 0.92 <= covered <= 0.975


def test_differences_cover_the_true_difference():
    random = np.random.default_rng(1)
    intervals = [
        difference_interval(random.normal(1, 1, 50), random.normal(0, 2, 80), 1000, seed) for seed in range(400)
    ]
    covered = np.mean([interval.low <= 1 <= interval.high for interval in intervals])
    assert 0.92 <= covered <= 0.975


def test_agrees_with_scipy():
    values = np.random.default_rng(2).beta(2, 1, 100)
    ours = mean_interval(values, 20_000, 0)
    theirs = bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=1).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.002)


def test_the_seed_decides():
    values = np.random.default_rng(3).normal(size=3000)
    assert mean_interval(values, 2000, 5) == mean_interval(values, 2000, 5)
    assert mean_interval(values, 2000, 5) != mean_interval(values, 2000, 6)


def test_samples_of_a_difference_are_drawn_apart():
    values = np.random.default_rng(4).normal(size=50)
    assert difference_interval(values, values, 500, 0).high > 0.05


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [[1.0], [2.0]]])
def test_undefined_scores_are_refused(values):
    with pytest.raises(ValueError, match="drop undefined scores"):
        mean_interval(values, 10, 0)

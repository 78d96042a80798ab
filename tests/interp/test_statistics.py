from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, chi2, ncx2, permutation_test

from sparse_coding.interp.statistics import (
    difference_interval,
    features_needed,
    half_width,
    holm,
    mean_interval,
    permutation_p,
    weighted_mean_interval,
)

PROBABILITIES = st.lists(st.floats(0, 1), max_size=12)


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


def test_weighted_intervals_are_those_of_a_ratio():
    random = np.random.default_rng(5)
    values, weights = random.beta(2, 1, 100), random.integers(25, 400, 100)

    def ratio(values, weights, axis=-1):
        return (values * weights).sum(axis=axis) / weights.sum(axis=axis)

    ours = weighted_mean_interval(values, weights, 20_000, 0)
    theirs = bootstrap(
        (values, weights), ratio, paired=True, n_resamples=20_000, method="percentile", rng=1
    ).confidence_interval
    assert ours.mean == pytest.approx(np.average(values, weights=weights))
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.003)


def test_equal_weights_change_nothing():
    values = np.random.default_rng(6).normal(size=70)
    weighted = weighted_mean_interval(values, np.full(70, 3), 500, 1)
    assert tuple(weighted) == pytest.approx(tuple(mean_interval(values, 500, 1)), abs=1e-12)


@pytest.mark.parametrize("weights", [[1], [1, 0], [1, -1]])
def test_each_value_needs_a_weight(weights):
    with pytest.raises(ValueError, match="weights above 0: each value needs one"):
        weighted_mean_interval([0.1, 0.2], weights, 10, 0)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.9, 0.8, 0.95, 0.7], [0.3, 0.75, 0.2]),
        ([0.5, 0.4], [0.1, 0.45, 0.6, 0.3, 0.2]),
        ([0, 0, 1, 1, 0], [1, 1, 1, 0, 1]),  # ties: a deal as far out as the observed one counts
        ([0.1, 0.1, 0.1], [0.3, 0.3, 0.3]),
    ],
)
def test_p_is_that_of_all_deals(first, second):
    pooled, n = np.array([*first, *second]), len(first)
    chosen = [list(places) for places in combinations(range(len(pooled)), n)]
    dealt = np.array([pooled[places].mean() - np.delete(pooled, places).mean() for places in chosen])
    exact = np.mean(np.abs(dealt) >= abs(np.mean(first) - np.mean(second)) - 1e-9)
    assert permutation_p(first, second, 40_000, 0) == pytest.approx(exact, abs=0.01)


def test_p_agrees_with_scipy():
    random = np.random.default_rng(7)
    first, second = random.normal(0.3, 1, 60), random.normal(0, 1, 40)

    def distance(one, other, axis=-1):
        return np.abs(one.mean(axis=axis) - other.mean(axis=axis))

    theirs = permutation_test((first, second), distance, alternative="greater", n_resamples=20_000, rng=1).pvalue
    assert permutation_p(first, second, 20_000, 0) == pytest.approx(theirs, abs=0.01)


def test_p_is_never_zero_and_one_without_a_difference():
    assert permutation_p(np.zeros(30), np.ones(30), 99, 0) == 0.01
    assert permutation_p([0.3, 0.7], [0.7, 0.3], 99, 0) == permutation_p(np.zeros(5), np.zeros(9), 99, 0) == 1


def test_p_is_small_as_seldom_as_it_says():
    random = np.random.default_rng(8)
    p = [permutation_p(random.beta(0.5, 0.5, 30), random.beta(0.5, 0.5, 50), 199, seed) for seed in range(1000)]
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p) <= level) == pytest.approx(level, abs=4 * np.sqrt(level * (1 - level) / 1000))


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # .04 x 1 is raised to .06
    assert holm([0.9, 0.4]) == pytest.approx([0.9, 0.8])
    assert holm([0.7, 0.6, 0.5]) == pytest.approx([1, 1, 1])
    assert holm([0.02]) == pytest.approx([0.02])


@given(PROBABILITIES)
def test_holm_lies_between_the_raw_and_bonferronis(p):
    corrected = holm(p)
    assert np.all(corrected >= p)
    assert np.all(corrected <= np.minimum(1, len(p) * np.array(p)))
    assert np.all(np.diff(corrected[np.argsort(p, kind="stable")]) >= 0)


@given(PROBABILITIES, st.randoms(use_true_random=False))
def test_holm_depends_on_no_order(p, random):
    places = random.sample(range(len(p)), len(p))
    assert np.array_equal(holm([p[place] for place in places]), holm(p)[places])


@given(PROBABILITIES, st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_rejects_what_its_steps_reject(p, level):
    rejected = set()
    for step, place in enumerate(np.argsort(p)):
        if (len(p) - step) * p[place] > level:
            break
        rejected.add(int(place))
    assert set(np.flatnonzero(holm(p) <= level)) == rejected


@pytest.mark.parametrize("p", [[0.1, 1.1], [-0.1], [float("nan")], [[0.1]]])
def test_holm_takes_probabilities(p):
    with pytest.raises(ValueError, match="not a list of probabilities"):
        holm(p)


@pytest.mark.parametrize(("sd", "difference", "n"), [(0.25, 0.1, 99), (0.25, 0.05, 393), (0.35, 0.1, 193)])
def test_features_needed(sd, difference, n):
    assert features_needed(difference, sd) == features_needed(-difference, sd) == n
    noncentral = difference**2 / (2 * sd**2)  # times n: of the squared z of two means
    power = [ncx2.sf(chi2.ppf(0.95, 1), 1, noncentral * features) for features in (n - 1, n)]
    assert power[0] < 0.8 <= power[1]


def test_so_many_features_find_a_difference_as_often_as_they_say():
    n, random = features_needed(0.1, 0.25), np.random.default_rng(9)
    first, second = random.normal(0.6, 0.25, (300, n)), random.normal(0.5, 0.25, (300, n))
    found = [permutation_p(one, other, 199, 0) <= 0.05 for one, other in zip(first, second, strict=True)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.07)


@pytest.mark.parametrize(
    ("difference", "sd", "power"), [(0.0, 0.25, 0.8), (0.1, -1.0, 0.8), (0.1, 0.25, 1.0), (0.1, 0.25, 0.0)]
)
def test_what_no_number_of_features_can_answer(difference, sd, power):
    with pytest.raises(ValueError, match=r"difference|range"):
        features_needed(difference, sd, power)


@pytest.mark.parametrize(("sd", "n", "half"), [(0.25, 50, 0.069), (0.25, 1000, 0.015), (0.356, 150, 0.057)])
def test_half_width(sd, n, half):
    assert half_width(n, sd) == pytest.approx(half, abs=5e-4)
    values = np.random.default_rng(10).normal(0, 1, n)
    interval = mean_interval((values - values.mean()) / values.std() * sd, 4000, 0)
    assert (interval.high - interval.low) / 2 == pytest.approx(half, rel=0.06)


def test_half_width_of_nothing():
    with pytest.raises(ValueError, match="at least one feature"):
        half_width(0, 0.25)

"""The interval of a mean over seeds, against scipy's test of one sample."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sparse_coding.core.metrics.over_seeds import over_seeds


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8, unique=True))
def test_the_interval_is_that_of_a_t_test(values):
    found = over_seeds(values)
    wanted = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == (pytest.approx(wanted.low, abs=1e-9), pytest.approx(wanted.high, abs=1e-9))
    assert found.mean == pytest.approx(sum(values) / len(values))


def test_one_seed_has_no_interval():
    assert over_seeds([0.5]) == (0.5, None, None)

"""The k-th largest against a sort."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.kernels.select import kth_largest

NUMBERS = st.floats(width=32, allow_nan=False)


@settings(max_examples=200, deadline=None)
@given(values=st.lists(NUMBERS, min_size=1, max_size=60), data=st.data())
def test_the_kth_largest_is_that_of_a_sort_and_0_if_it_is_not_positive(values, data):
    count = data.draw(st.integers(1, len(values)))
    k = data.draw(st.integers(1, count + 3))
    array = np.array(values, np.float32)
    before = array.copy()
    wanted = max(np.sort(array[:count])[::-1][k - 1], 0) if k <= count else 0
    assert kth_largest(array, count, k) == wanted
    np.testing.assert_array_equal(array, before)


def test_equal_values():
    array = np.repeat(np.float32([1, 2, 1]), 1000)
    assert kth_largest(array, 3000, 1000) == 2
    assert kth_largest(array, 3000, 1001) == 1
    assert kth_largest(array, 3000, 3001) == 0

"""The peak of the learning rate by the number of codes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.core.training import peak
from sparse_coding.settings.params import Dictionaries

RATES, CODES = st.floats(1e-6, 1.0), st.floats(0.5, 1e5)


@pytest.mark.parametrize(("codes", "times"), [(2, 0.5), (8, 1), (18, 1.5), (32, 2), (33, 2), (4096, 2)])
def test_it_grows_as_the_root_of_the_codes_to_an_end(codes, times):
    assert peak.of({"lr": 0.01, "lr_grows_to": 32}, codes) == pytest.approx(0.01 * times)


@given(RATES, CODES, st.integers(1, 100))
def test_four_times_the_codes_have_twice_the_rate_unless_that_is_beyond_the_end(lr, codes, most):
    few, many = (peak.of({"lr": lr, "lr_grows_to": most}, each) for each in (codes, 4 * codes))
    assert few <= many <= 2 * few * (1 + 1e-9)
    assert many <= lr * math.sqrt(most / 8) * (1 + 1e-9)
    if 4 * codes <= most:
        assert many == pytest.approx(2 * few)


@given(RATES, CODES)
def test_without_an_end_and_without_codes_it_is_the_rate_of_all(lr, codes):
    assert peak.of({"lr": lr, "lr_grows_to": None}, codes) == peak.of({"lr": lr, "lr_grows_to": 32}, None) == lr
    assert peak.of({"lr": lr}, codes) == lr


@given(RATES)
def test_of_eight_codes_it_is_the_rate_to_the_last_digit(lr):
    assert peak.of({"lr": lr, "lr_grows_to": 32}, 8) == lr


def test_kinds_with_an_l1_have_no_codes_to_be_told():
    own = Dictionaries()
    growing = {name for name in type(own).model_fields if hasattr(getattr(own, name), "lr_grows_to")}
    assert growing == {
        "topk", "topk_aux", "batchtopk", "matryoshka", "jumprelu", "transcoder", "skip_transcoder"
    }  # fmt: skip

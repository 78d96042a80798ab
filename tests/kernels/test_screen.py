"""Bounds against float64, and what the screen finds against all products."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.kernels import bounds, screen
from sparse_coding.kernels.bounds import Rounded, Screened
from sparse_coding.kernels.pattern import Pattern

SIZES = {"n_rows": st.integers(1, 20), "n_feat": st.integers(1, 70), "d_act": st.integers(1, 50)}


def vectors(generator, n, d_act, wild):
    """Gaussian vectors; wild ones have dimensions and lengths of very different size, zeros and subnormal numbers."""
    made = generator.standard_normal((n, d_act))
    if wild:
        made *= 10.0 ** generator.integers(-6, 6, (1, d_act)) * 10.0 ** generator.integers(-4, 4, (n, 1))
        made[generator.random(n) < 0.2] = 0
        made[generator.random(n) < 0.1] *= 1e-42
    return made.astype(np.float32)


def rounded(matrix, int8):
    result = Rounded(np.zeros(matrix.shape, np.int8), *np.empty((3, len(matrix)), np.float32))
    (bounds.round_to_int8 if int8 else bounds.leave_unrounded)(matrix, result)
    return result


def cheap_products(x, w, rounded_x, rounded_w, int8):
    if int8:
        return rounded_x.whole.astype(np.int32) @ rounded_w.whole.astype(np.int32).T
    return (torch.from_numpy(x) @ torch.from_numpy(w).T).numpy()


@pytest.mark.parametrize("int8", [True, False])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), wild=st.booleans(), **SIZES)
def test_no_product_is_above_its_bound(int8, seed, wild, n_rows, n_feat, d_act):
    generator = np.random.default_rng(seed)
    x, w = vectors(generator, n_rows, d_act, wild), vectors(generator, n_feat, d_act, wild)
    bias = vectors(generator, 1, n_feat, wild)[0]
    rounded_x, rounded_w = rounded(x, int8), rounded(w, int8)
    scores = cheap_products(x, w, rounded_x, rounded_w, int8)
    exact = x.astype(np.float64) @ w.astype(np.float64).T + bias
    upper = np.empty(n_feat, np.float32)
    for row in range(n_rows):
        bounds.upper_bounds(Screened(x, w, bias, rounded_x, rounded_w, scores), row, upper)
        assert (upper >= exact[row] - 1e-37).all()


def test_the_bound_of_int8_is_tight_where_rounding_is_all():
    """About 0.0064 |x| |w| for Gaussian vectors of 128 dimensions, twice: few features pass in vain."""
    generator = np.random.default_rng(0)
    x, w = vectors(generator, 50, 128, False), vectors(generator, 500, 128, False)
    rounded_x, rounded_w = rounded(x, True), rounded(w, True)
    scores = cheap_products(x, w, rounded_x, rounded_w, True)
    upper, exact = np.empty(500, np.float32), x @ w.T
    for row in range(50):
        bounds.upper_bounds(Screened(x, w, np.zeros(500, np.float32), rounded_x, rounded_w, scores), row, upper)
        room = (upper - exact[row]) / (np.linalg.norm(x[row]) * np.linalg.norm(w, axis=1))
        assert room.max() < 0.035


def found(x, w, bias, int8, k=None, share=1.0):
    rounded_x, rounded_w = rounded(x, int8), rounded(w, int8)
    scores = cheap_products(x, w, rounded_x, rounded_w, int8)
    size = int(share * scores.size) + 1
    rows = Pattern(np.empty(len(x) + 1, np.int64), np.empty(size, np.int32), np.empty(size, np.float32))
    given_ = Screened(x, w, bias, rounded_x, rounded_w, scores)
    room = screen.make_room(len(w))
    computed = screen.positive(given_, room, rows) if k is None else screen.largest(given_, k, room, rows)
    if computed == screen.TOO_MANY:
        return computed, None
    codes = np.zeros(scores.shape, np.float32)
    for row in range(len(x)):
        places = slice(rows.starts[row], rows.starts[row + 1])
        assert (np.diff(rows.other[places]) > 0).all()
        codes[row, rows.other[places]] = rows.codes[places]
    return computed, codes


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), wild=st.booleans(), shift=st.sampled_from([0, 1, 3]), **SIZES)
def test_positive_codes_are_all_found_and_no_other(seed, wild, shift, n_rows, n_feat, d_act):
    generator = np.random.default_rng(seed)
    x, w = vectors(generator, n_rows, d_act, wild), vectors(generator, n_feat, d_act, wild)
    bias = (vectors(generator, 1, n_feat, wild)[0] - shift * np.sqrt(d_act)).astype(np.float32)
    codes = found(x, w, bias, int8=True)[1]
    exact = np.maximum(x.astype(np.float64) @ w.astype(np.float64).T + bias, 0)
    sizes = np.linalg.norm(x.astype(np.float64), axis=1)[:, None] * np.linalg.norm(w.astype(np.float64), axis=1)
    assert (np.abs(codes - exact) <= 1e-6 * (sizes + np.abs(bias)) * d_act**0.5 + 1e-37).all()
    assert codes.tobytes() == found(x, w, bias, int8=False)[1].tobytes()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), wild=st.booleans(), k=st.integers(1, 80), **SIZES)
def test_the_largest_are_those_of_all_positive_ones(seed, wild, k, n_rows, n_feat, d_act):
    generator = np.random.default_rng(seed)
    x, w = vectors(generator, n_rows, d_act, wild), vectors(generator, n_feat, d_act, wild)
    bias, k = vectors(generator, 1, n_feat, wild)[0], min(k, n_feat)
    w[: n_feat // 3] = w[0]  # equal codes: the first ones are kept
    bias[: n_feat // 3] = bias[0]
    everything = found(x, w, bias, int8=True)[1]
    wanted = np.zeros_like(everything)
    for row in range(n_rows):
        kept = np.argsort(-everything[row], kind="stable")[:k]
        wanted[row, kept] = everything[row, kept]
    for int8 in (True, False):
        assert found(x, w, bias, int8, k)[1].tobytes() == wanted.tobytes()


def test_most_features_are_spared():
    generator = np.random.default_rng(0)
    x, w = vectors(generator, 200, 128, False), vectors(generator, 1000, 128, False)
    bias = np.full(1000, -2 * 128**0.5, np.float32)  # two standard deviations
    computed, codes = found(x, w, bias, int8=True)
    assert np.count_nonzero(codes) < computed < 1.6 * np.count_nonzero(codes)
    computed, codes = found(x, w, np.zeros(1000, np.float32), int8=True, k=20)
    assert np.count_nonzero(codes) == 200 * 20
    assert computed < 3 * 200 * 20


def test_what_passes_in_vain_takes_no_room():
    """So that the screen does not decide which kind of step is taken."""
    generator = np.random.default_rng(0)
    x, w = vectors(generator, 1, 50, False), vectors(generator, 400, 50, False)
    bias = np.full(400, -1.5 * 50**0.5, np.float32)
    n_positive = np.count_nonzero(found(x, w, bias, int8=False)[1])
    for int8 in (True, False):
        assert found(x, w, bias, int8, share=n_positive / 400)[0] >= n_positive
        assert found(x, w, bias, int8, share=(n_positive - 1) / 400)[0] == screen.TOO_MANY


def test_more_codes_than_room_are_refused():
    x, w = np.ones((4, 3), np.float32), np.ones((10, 3), np.float32)
    assert found(x, w, np.zeros(10, np.float32), int8=True, share=0.5)[0] == screen.TOO_MANY
    assert found(x, w, np.zeros(10, np.float32), int8=True, k=6, share=0.5)[0] == screen.TOO_MANY
    assert found(x, w, np.zeros(10, np.float32), int8=True, k=5, share=0.5)[0] > 0

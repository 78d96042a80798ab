"""What is above a threshold and around it: all of it is found, nothing else, whatever the screen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.kernels import rows, screen, thresholds
from sparse_coding.kernels.bounds import Screened
from sparse_coding.kernels.pattern import Pattern
from tests.kernels.test_screen import SIZES, cheap_products, rounded, vectors


def found(x, w, bias, theta, half, int8, places=None):
    """How many the screen let pass, and two matrices: codes above theta, 1 in the windows; NaN: not found."""
    rounded_x, rounded_w = rounded(x, int8), rounded(w, int8)
    scores = cheap_products(x, w, rounded_x, rounded_w, int8)
    room = (scores.size if places is None else places) + 1
    patterns = [
        Pattern(np.empty(len(x) + 1, np.int64), np.empty(room, np.int32), np.empty(room, np.float32)) for _ in range(2)
    ]
    borders = thresholds.Borders(theta, np.float32(half))
    given_ = Screened(x, w, bias, rounded_x, rounded_w, scores)
    low = thresholds.lowered(given_, borders)
    computed = thresholds.above(given_, low, borders, screen.make_room(len(w)), *patterns)
    if computed == screen.TOO_MANY:
        return computed, None
    above, around = np.full((2, *scores.shape), np.nan, np.float32)
    for row in range(len(x)):
        own, near = (lines.other[lines.starts[row] : lines.starts[row + 1]] for lines in patterns)
        assert (np.diff(own) > 0).all()
        assert len(set(near.tolist())) == len(near)
        above[row, own] = patterns[0].codes[patterns[0].starts[row] : patterns[0].starts[row + 1]]
        around[row, near] = 1
    return computed, (above, around)


def exactly(x, w, bias, theta, half):
    """The same without a screen: all pre-activations are computed, and compared in float32."""
    room = screen.make_room(len(w))
    room.picked[: len(w)] = np.arange(len(w))
    above, around = np.full((2, len(x), len(w)), np.nan, np.float32)
    for row in range(len(x)):
        rows.products(x[row], w, room.picked[: len(w)], room.exact[: len(w)])
        exact = room.exact[: len(w)] + bias
        above[row, exact > theta] = exact[exact > theta]
        around[row, np.abs(exact - theta) < np.float32(half)] = 1
    return above, around


def some(seed, n_rows, n_feat, d_act, wild, height):
    generator = np.random.default_rng(seed)
    x, w = vectors(generator, n_rows, d_act, wild), vectors(generator, n_feat, d_act, wild)
    bias = vectors(generator, 1, n_feat, wild)[0]
    return x, w, bias, (height * np.exp(generator.standard_normal(n_feat))).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), wild=st.booleans(), half=st.floats(1e-3, 30), height=st.floats(1e-3, 30), **SIZES)
def test_all_that_is_above_or_around_is_found_and_no_other(seed, wild, half, height, n_rows, n_feat, d_act):
    x, w, bias, theta = some(seed, n_rows, n_feat, d_act, wild, height)
    above, around = found(x, w, bias, theta, half, int8=True)[1]
    exact = x.astype(np.float64) @ w.astype(np.float64).T + bias
    lengths = np.linalg.norm(x.astype(np.float64), axis=1)[:, None] * np.linalg.norm(w.astype(np.float64), axis=1)
    off = 1e-6 * (lengths + np.abs(bias) + theta + half) * d_act**0.5 + 1e-37
    assert (np.abs(above - exact) <= off)[~np.isnan(above)].all()
    apart = exact - theta
    assert not np.isnan(above[apart > off]).any()
    assert np.isnan(above[apart < -off]).all()
    assert not np.isnan(around[np.abs(apart) < half - off]).any()
    assert np.isnan(around[np.abs(apart) > half + off]).all()
    for other in (found(x, w, bias, theta, half, int8=False)[1], exactly(x, w, bias, theta, half)):
        assert np.array([above, around]).tobytes() == np.array(other).tobytes()


def test_at_the_edge_the_comparisons_of_float32_decide():
    """Products of whole numbers are exact: a code at theta is not above it, one half a width off is not in a window."""
    x, w = np.array([[3.0], [4.0], [5.0]], np.float32), np.ones((1, 1), np.float32)
    theta, bias = np.array([4.0], np.float32), np.zeros(1, np.float32)
    above, around = found(x, w, bias, theta, 1.0, int8=False)[1]
    assert np.isnan(above[:, 0]).tolist() == [True, True, False]
    assert np.isnan(around[:, 0]).tolist() == [True, False, True]


def test_most_features_are_spared():
    x, w, _, _ = some(0, 200, 1000, 128, False, 1.0)
    theta = np.full(1000, 2.3 * 128**0.5, np.float32)
    computed, (above, around) = found(x, w, np.zeros(1000, np.float32), theta, 0.1 * 128**0.5, int8=True)
    wanted = np.count_nonzero(~np.isnan(above) | ~np.isnan(around))
    assert wanted <= computed < 1.6 * wanted
    assert wanted < 0.02 * above.size


@pytest.mark.parametrize(("theta", "which"), [(0.5, 0), (3.5, 1)])
def test_more_than_room_is_refused(theta, which):
    """40 pre-activations of 3: above the lower threshold, in the window of the higher one."""
    x, w = np.ones((4, 3), np.float32), np.ones((10, 3), np.float32)
    asked = x, w, np.zeros(10, np.float32), np.full(10, theta, np.float32), 1.0
    for int8 in (True, False):
        assert found(*asked, int8, places=39)[0] == screen.TOO_MANY
        computed, matrices = found(*asked, int8, places=40)
        assert computed == 40
        assert not np.isnan(matrices[which]).any()
        assert np.isnan(matrices[1 - which]).all()

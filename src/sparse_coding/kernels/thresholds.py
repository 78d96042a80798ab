"""What is above a threshold of each feature, what is in a window around it, and the step for the thresholds.

The formulas are those of core.architectures.jumprelu. Codes are handled by the loops for all architectures; what is in
the windows is a pattern beside theirs, most of it below the thresholds, and read for the thresholds alone.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from sparse_coding.kernels.bounds import FEW_UNITS, Screened, margin_of, upper_bounds
from sparse_coding.kernels.columns import AT_ONCE, AdamNumbers, Weights, adam_of_one, sum_of
from sparse_coding.kernels.compiled import compiled
from sparse_coding.kernels.pattern import Pattern
from sparse_coding.kernels.rows import ZERO, products
from sparse_coding.kernels.screen import TOO_MANY, Room, compute, pick


class Borders(NamedTuple):
    """Thresholds theta, and half the width of the window around each."""

    theta: Float32[np.ndarray, " n_feat"]
    half: np.float32


def lowered(given: Screened, borders: Borders) -> Screened:
    """With the lower edges of the windows taken from the biases, for bounds that are compared with 0."""
    theta, half = borders
    return given._replace(bias=given.bias - theta + half + FEW_UNITS * _sizes(given, borders))


def _sizes(given: Screened, borders: Borders) -> Float32[np.ndarray, " n_feat"]:
    """What rounding is relative to: that of the lowered biases, and of the comparisons."""
    return np.abs(given.bias) + borders.theta + borders.half


def above(given: Screened, low: Screened, borders: Borders, room: Room, rows: Pattern, windows: Pattern) -> int:
    """Fill `rows` with the pre-activations above theta, `windows` with who is in the window around it, but without
    codes and in no order inside a row; as screen.positive.

    low: `given`, lowered. What is in a window and above theta is in both. Give how many features the screen let pass.
    """
    return _above(given, low, 2 * FEW_UNITS * _sizes(given, borders), borders, room, rows, windows)


@compiled
def _above(
    given: Screened,
    low: Screened,
    rounding: Float32[np.ndarray, " n_feat"],
    borders: Borders,
    room: Room,
    rows: Pattern,
    windows: Pattern,
) -> int:
    at, near, passed = 0, 0, 0
    places, near_places = len(rows.other) - 1, len(windows.other) - 1
    rows.starts[0] = 0
    windows.starts[0] = 0
    for row in range(len(given.x)):
        upper_bounds(low, row, room.upper)
        count = pick(ZERO, room)
        passed += count
        near, count = settle(low, row, count, rounding, borders.half, room, windows, near)
        compute(given, row, count, room)
        for place in range(count):
            if at > places or near > near_places:
                return TOO_MANY
            feature, exact = room.picked[place], room.exact[place]
            theta = borders.theta[feature]
            rows.other[at] = feature  # the next one takes the place of what is not above
            rows.codes[at] = exact
            at += exact > theta
            windows.other[near] = feature
            near += abs(exact - theta) < borders.half
        if at > places or near > near_places:
            return TOO_MANY
        rows.starts[row + 1] = at
        windows.starts[row + 1] = near
    return passed


@compiled
def settle(
    low: Screened,
    row: int,
    count: int,
    rounding: Float32[np.ndarray, " n_feat"],
    half: np.float32,
    room: Room,
    windows: Pattern,
    near: int,
) -> tuple[int, int]:
    """Those of the first `count` picked features that are in the lower half of their window, whatever their exact value
    is, go to `windows`; the others stay picked. Give the ends of both; that of `windows` is beyond its last place where
    there are too many.
    """
    left, last = 0, len(windows.other) - 1
    for place in range(count):
        if near > last:
            return near, 0
        feature = room.picked[place]
        margin = margin_of(low, row, feature) + rounding[feature]
        upper = room.upper[feature] + rounding[feature]
        windows.other[near] = feature  # the next one takes the place of what is not sure
        room.picked[left] = feature
        sure = upper < half and upper - np.float32(2) * margin > ZERO
        near += sure
        left += not sure
    return near, left


@compiled
def update_thresholds(
    windows: Pattern,
    bandwidth: np.float32,
    d_count: np.float32,
    d_x_hat: Float32[np.ndarray, "row d_act"],
    atoms: Float32[np.ndarray, "n_feat d_act"],
    slopes: Float32[np.ndarray, " at_once"],
    logs: Weights,
    rates: AdamNumbers,
) -> None:
    """A step for log theta, before the atoms move. windows: by feature; d_count: d loss / d ||c_b||_0, of each row.

    slopes: scratch.
    """
    for feature in range(len(logs.values)):
        first, end = windows.starts[feature], windows.starts[feature + 1]
        total = ZERO
        for at in range(first, end, AT_ONCE):
            last = min(at + AT_ONCE, end)
            some = slopes[: last - at]
            products(atoms[feature], d_x_hat, windows.other[at:last], some)
            total += sum_of(some)
        theta = np.exp(logs.values[feature])
        slope = -(theta * total + d_count * np.float32(end - first)) / bandwidth
        adam_of_one(logs, feature, slope * theta, rates)

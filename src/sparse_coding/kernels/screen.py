"""The codes of a batch that are not zero: bounds leave few features to a row, whose codes are then computed exactly.

The exact ones are float32 sums of one loop here, so bounds decide how long it takes and never what comes out.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, UInt8

from sparse_coding.kernels.bounds import TINY, Screened, upper_bounds
from sparse_coding.kernels.compiled import compiled
from sparse_coding.kernels.pattern import Pattern
from sparse_coding.kernels.rows import ZERO, products
from sparse_coding.kernels.select import kth_largest

TOO_MANY = -1


class Room(NamedTuple):
    """Scratch for one row of the batch. `marks` is filled up with zeros to whole groups of 8."""

    upper: Float32[np.ndarray, " n_feat"]
    marks: UInt8[np.ndarray, " n_feat_and_rest"]
    picked: Int32[np.ndarray, " n_feat_and_1"]
    exact: Float32[np.ndarray, " n_feat_and_1"]


def make_room(n_feat: int) -> Room:
    """Scratch for `n_feat` features."""
    return Room(
        np.empty(n_feat, np.float32),
        np.zeros(-(-n_feat // 8) * 8, np.uint8),
        np.empty(n_feat + 1, np.int32),
        np.empty(n_feat + 1, np.float32),
    )


@compiled
def pick(least: np.float32, room: Room) -> int:
    """Fill room.picked with the features whose bound is at least `least`, in order; give their number."""
    for feature in range(len(room.upper)):
        room.marks[feature] = room.upper[feature] >= least
    groups = room.marks.view(np.uint64)
    count = 0
    for group in range(len(groups)):
        if groups[group] != 0:  # most are empty, and eight are tested at once
            for feature in range(8 * group, 8 * group + 8):
                room.picked[count] = feature
                count += room.marks[feature]
    return count


@compiled
def compute(given: Screened, row: int, count: int, room: Room) -> None:
    """Fill room.exact with the pre-activations of the first `count` picked features."""
    products(given.x[row], given.encoder, room.picked[:count], room.exact[:count])
    for at in range(count):
        room.exact[at] += given.bias[room.picked[at]]


@compiled
def positive(given: Screened, room: Room, rows: Pattern) -> int:
    """Fill `rows` with the positive pre-activations; give the number of exact products, or TOO_MANY for `rows`.

    TOO_MANY says that more are positive than `rows` has room for, one place less than it is long.
    """
    at, computed, places = 0, 0, len(rows.other) - 1
    rows.starts[0] = 0
    for row in range(len(given.x)):
        upper_bounds(given, row, room.upper)
        count = pick(ZERO, room)
        compute(given, row, count, room)
        if at + count_positive(room, count) > places:
            return TOO_MANY
        for place in range(count):
            rows.other[at] = room.picked[place]  # the next one takes the place of what is not positive
            rows.codes[at] = room.exact[place]
            at += room.exact[place] > ZERO
        computed += count
        rows.starts[row + 1] = at
    return computed


@compiled
def largest(given: Screened, k: int, room: Room, rows: Pattern) -> int:
    """As `positive`, with the k largest of them in each row; of equal ones the first.

    A first look leaves out what is smaller than the k-th largest usually is. Where the k-th largest that it finds is
    smaller still, a second one takes all that may be larger than that.
    """
    at, computed, places = 0, 0, len(rows.other) - 1
    rows.starts[0] = 0
    usual = ZERO  # of the k-th largest / |x|, a low quantile over the rows before: it moves no result
    for row in range(len(given.x)):
        upper_bounds(given, row, room.upper)
        norm = given.rounded_x.norm[row]
        least = usual * norm
        count = pick(least, room)
        compute(given, row, count, room)
        computed += count
        border = kth_largest(room.exact, count, k)
        if border < least:
            count = pick(border, room)
            compute(given, row, count, room)
            computed += count
            border = kth_largest(room.exact, count, k)
        if at + min(count_positive(room, count), k) > places:
            return TOO_MANY
        at = keep_largest(room, count, k, border, rows, at)
        rows.starts[row + 1] = at
        usual = follow(usual, border / max(norm, TINY))
    return computed


@compiled
def count_positive(room: Room, count: int) -> int:
    """How many of the first `count` exact values are positive."""
    found = np.int32(0)
    for place in range(count):
        found += np.int32(room.exact[place] > ZERO)
    return int(found)


@compiled
def follow(quantile: np.float32, value: np.float32) -> np.float32:
    """A quantile that about one value in ten lies below, after one more value."""
    if quantile == ZERO:
        return value
    return quantile * np.float32(1.002 if value > quantile else 0.982)


@compiled
def keep_largest(room: Room, count: int, k: int, border: np.float32, rows: Pattern, at: int) -> int:
    """Append the positive values above `border`, the k-th largest, and as many equal ones as are missing to k."""
    equal = k
    for place in range(count):
        equal -= room.exact[place] > border
    for place in range(count):
        value = room.exact[place]
        if value > border or (value == border and border > ZERO and equal > 0):
            equal -= value == border
            rows.other[at] = room.picked[place]
            rows.codes[at] = value
            at += 1
    return at

"""The largest codes of a whole batch, found by the screen row by row.

Which they are is known at the end alone. So rows keep what is at least as large as a border that is guessed at first,
and rises as more is found: the k-th largest of some codes is at most that of all.
"""

import numpy as np

from sparse_coding.kernels.bounds import Screened, upper_bounds
from sparse_coding.kernels.compiled import compiled
from sparse_coding.kernels.pattern import Pattern
from sparse_coding.kernels.rows import ZERO
from sparse_coding.kernels.screen import TOO_MANY, Room, compute, pick
from sparse_coding.kernels.select import kth_largest

HALF, FAR = np.float32(0.5), np.float32(0.1)


@compiled
def largest_of_batch(given: Screened, k: int, guess: np.float32, room: Room, rows: Pattern) -> tuple[int, np.float32]:
    """Fill `rows` with the k largest positive pre-activations of all, of equal ones the first: in the order of rows,
    and of features in a row. Give the number of exact products, and the k-th largest: 0 where fewer are positive.

    guess: of the k-th largest; it moves no result. After too high a one all rows are looked at again, by half of it.
    TOO_MANY: `rows` has less room than k, and one row.
    """
    if k + len(room.upper) > len(rows.other) - 1:
        return TOO_MANY, ZERO
    first, computed = guess, 0
    while True:
        more, border, found = at_least_so_large(given, k, guess, room, rows)
        computed += more
        if found >= k or guess == ZERO:
            return computed, border
        guess = guess * HALF if guess > FAR * first else ZERO


@compiled
def at_least_so_large(
    given: Screened, k: int, least: np.float32, room: Room, rows: Pattern
) -> tuple[int, np.float32, int]:
    """`largest_of_batch` among those of at least `least`; and how many there are, k at most."""
    at, computed, border = 0, 0, least
    places = min(len(rows.other) - 1, 2 * k + len(room.upper))  # where more is found, the border can rise
    rows.starts[0] = 0
    for row in range(len(given.x)):
        upper_bounds(given, row, room.upper)
        count = pick(border, room)
        compute(given, row, count, room)
        computed += count
        if at + count > places:
            border = kth_largest(rows.codes, at, k)
            at = cut(rows, row, k, border)
        for place in range(count):
            value = room.exact[place]
            rows.other[at] = room.picked[place]  # the next one takes the place of what is too small
            rows.codes[at] = value
            at += value >= border and value > ZERO
        rows.starts[row + 1] = at
    if at < k:
        return computed, ZERO, at
    border = kth_largest(rows.codes, at, k)
    return computed, border, cut(rows, len(given.x), k, border)


@compiled
def cut(rows: Pattern, n_rows: int, k: int, border: np.float32) -> int:
    """Leave what is above `border`, the k-th largest, and the first equal ones up to k; how many these are."""
    equal = k
    for at in range(rows.starts[n_rows]):
        equal -= rows.codes[at] > border
    kept, first = 0, 0
    for row in range(n_rows):
        end = rows.starts[row + 1]
        for at in range(first, end):
            value = rows.codes[at]
            stays = value > border or (value == border and equal > 0)
            equal -= value == border and stays
            rows.other[kept] = rows.other[at]
            rows.codes[kept] = value
            kept += stays
        first = end
        rows.starts[row + 1] = kept
    return kept

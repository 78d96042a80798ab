"""The k-th largest of some numbers, without sorting or moving them."""

import numpy as np
from jaxtyping import Float32

from sparse_coding.kernels.compiled import compiled

INFINITY = np.int32(0x7F800000)  # its bits
ONE, TWO = np.int32(1), np.int32(2)


@compiled
def kth_largest(values: Float32[np.ndarray, " room"], count: int, k: int) -> np.float32:
    """The k-th largest of the first `count` values; 0 where fewer than k are positive.

    Positive numbers are in the order of their bits as whole numbers, so the answer is found by halving: 31 times, how
    many are at least so large? To count takes a few instructions, many values at a time; a search that moves values
    depends on branches that nobody can foresee.
    """
    bits = values.view(np.int32)
    low, high = np.int32(0), INFINITY
    while low < high:
        middle = low + (high - low + ONE) // TWO
        found = np.int32(0)
        for at in range(count):
            found += np.int32(bits[at] >= middle)
        if found >= k:
            low = middle
        else:
            high = middle - ONE
    return np.int32(low).view(np.float32)

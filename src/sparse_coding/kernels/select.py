"""The k-th largest of some numbers, without sorting them."""

import numpy as np
from jaxtyping import Float32

from sparse_coding.kernels.compiled import compiled


@compiled
def kth_largest(values: Float32[np.ndarray, " room"], count: int, k: int) -> np.float32:
    """The k-th largest of the first `count` values, 1 <= k <= count, which change places (Hoare 1961: Find).

    Values must be numbers: NaN has no place in an order.
    """
    low, high, wanted = 0, count - 1, k - 1
    while low < high:
        pivot = values[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while values[left] > pivot:
                left += 1
            while values[right] < pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if wanted <= right:
            high = right
        elif wanted >= left:
            low = left
        else:
            break
    return values[wanted]

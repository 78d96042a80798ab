"""Matching pursuit of one vector after another, by the products of the atoms with each other."""

import numpy as np
from jaxtyping import Float32, Int64

from sparse_coding.kernels.compiled import compiled


@compiled
def pursue(
    scores: Float32[np.ndarray, "row n_feat"],
    gram: Float32[np.ndarray, "n_feat n_feat"],
    steps: Int64[np.ndarray, " row"],
    codes: Float32[np.ndarray, "row n_feat"],
) -> None:
    """Add to `codes` what `steps` of matching pursuit find in each row; `scores` become what is left of them.

    scores: inner products of a vector and each atom; gram: of each atom and each other. Positive numbers are in the
    order of their bits as whole numbers, of which many are compared at a time.
    """
    n_feat = scores.shape[1]
    bits = scores.view(np.int32)
    for row in range(scores.shape[0]):
        for _ in range(steps[row]):
            highest = np.int32(0)
            for at in range(n_feat):
                highest = max(highest, bits[row, at])
            if highest <= 0:
                break
            chosen = 0
            while bits[row, chosen] != highest:
                chosen += 1
            found = scores[row, chosen]
            codes[row, chosen] += found
            for at in range(n_feat):
                scores[row, at] -= found * gram[chosen, at]

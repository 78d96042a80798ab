"""Which codes of a batch are not zero: row by row, and the same feature by feature."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32, Int64

from sparse_coding.kernels.compiled import compiled


class Pattern(NamedTuple):
    """The codes of line l stand at starts[l] to starts[l + 1]; a line is a row of the batch, or a feature.

    `other` is the feature of each code, or its row.
    """

    starts: Int64[np.ndarray, " line_and_end"]
    other: Int32[np.ndarray, " room"]
    codes: Float32[np.ndarray, " room"]


@compiled
def transpose(rows: Pattern, columns: Pattern) -> None:
    """Fill `columns` with what `rows` holds; inside a feature, rows come in order."""
    starts = columns.starts
    n_feat = len(starts) - 1
    starts[:] = 0
    for at in range(rows.starts[-1]):
        starts[rows.other[at] + 1] += 1
    for feature in range(n_feat):
        starts[feature + 1] += starts[feature]
    for row in range(len(rows.starts) - 1):
        for at in range(rows.starts[row], rows.starts[row + 1]):
            feature = rows.other[at]
            place = starts[feature]
            starts[feature] = place + 1
            columns.other[place] = row
            columns.codes[place] = rows.codes[at]
    for feature in range(n_feat, 0, -1):  # each start has moved to the next one
        starts[feature] = starts[feature - 1]
    starts[0] = 0

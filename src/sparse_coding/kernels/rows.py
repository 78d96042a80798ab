"""The pass over the rows of a batch: reconstruction and residual."""

import numpy as np
from jaxtyping import Float32, Float64, Int32, Int64

from sparse_coding.kernels.compiled import compiled
from sparse_coding.kernels.pattern import Pattern

ZERO, ONE = np.float32(0), np.float32(1)


@compiled
def add_weighted(
    total: Float32[np.ndarray, " d_act"],
    weights: Float32[np.ndarray, " some"],
    lines: Int32[np.ndarray, " some"],
    matrix: Float32[np.ndarray, "line d_act"],
) -> None:
    """Add weights[at] * matrix[lines[at]] to `total` for all places `at`; four at a time."""
    width, end = len(total), len(weights)
    at = 0
    while at + 4 <= end:
        weight0, weight1, weight2, weight3 = weights[at], weights[at + 1], weights[at + 2], weights[at + 3]
        line0, line1 = matrix[lines[at]], matrix[lines[at + 1]]
        line2, line3 = matrix[lines[at + 2]], matrix[lines[at + 3]]
        for j in range(width):
            total[j] += (weight0 * line0[j] + weight1 * line1[j]) + (weight2 * line2[j] + weight3 * line3[j])
        at += 4
    while at < end:
        weight0 = weights[at]
        line0 = matrix[lines[at]]
        for j in range(width):
            total[j] += weight0 * line0[j]
        at += 1


@compiled
def products(
    x: Float32[np.ndarray, " d_act"],
    matrix: Float32[np.ndarray, "line d_act"],
    lines: Int32[np.ndarray, " some"],
    found: Float32[np.ndarray, " some"],
) -> None:
    """found[at] = x . matrix[lines[at]] for all places `at`.

    Four at a time, and those that are left over by the same sums: a product does not depend on its place.
    """
    width, end = len(x), len(lines)
    last = end - 1
    at = 0
    while at < end:
        line0, line1 = matrix[lines[at]], matrix[lines[min(at + 1, last)]]
        line2, line3 = matrix[lines[min(at + 2, last)]], matrix[lines[min(at + 3, last)]]
        sum0, sum1, sum2, sum3 = ZERO, ZERO, ZERO, ZERO
        for j in range(width):
            each = x[j]
            sum0 += each * line0[j]
            sum1 += each * line1[j]
            sum2 += each * line2[j]
            sum3 += each * line3[j]
        found[min(at + 3, last)] = sum3
        found[min(at + 2, last)] = sum2
        found[min(at + 1, last)] = sum1
        found[at] = sum0
        at += 4


@compiled
def residuals(
    rows: Pattern,
    wanted: Float32[np.ndarray, "row d_out"],
    decoder: Float32[np.ndarray, "n_feat d_out"],
    gradient: Float32[np.ndarray, "row d_out"],
) -> tuple[float, float]:
    """Fill `gradient` with d loss / d x_hat; give the sums of squared errors and of codes.

    x_hat = codes @ decoder, loss = mean over all entries of (x_hat - wanted)^2, and what does not depend on x_hat.
    """
    n_rows, width = wanted.shape
    scale = np.float32(2.0 / (n_rows * width))
    squares, codes = 0.0, 0.0
    for row in range(n_rows):
        first, end = rows.starts[row], rows.starts[row + 1]
        residual, own = gradient[row], wanted[row]
        for j in range(width):
            residual[j] = -own[j]
        add_weighted(residual, rows.codes[first:end], rows.other[first:end], decoder)
        square = ZERO
        for j in range(width):
            square += residual[j] * residual[j]
            residual[j] *= scale
        squares += float(square)
        for at in range(first, end):
            codes += float(rows.codes[at])
    return squares, codes


@compiled
def nested_residuals(
    rows: Pattern,
    ends: Int64[np.ndarray, " prefix"],
    wanted: Float32[np.ndarray, "row d_out"],
    decoder: Float32[np.ndarray, "n_feat d_out"],
    gradients: Float32[np.ndarray, "prefix row d_out"],
    squares: Float64[np.ndarray, " prefix"],
) -> float:
    """As `residuals`, where the loss is the mean of those of all prefixes of the features; give the sum of codes.

    Features before ends[p] are in prefix p. gradients[p]: for features that are in it and in no shorter one, so of all
    prefixes from it on. squares: filled with the sum of squared errors of each.
    """
    n_rows, width = wanted.shape
    n_prefixes = len(ends)
    scale = np.float32(2.0 / (n_rows * width * n_prefixes))
    squares[:] = 0
    codes = 0.0
    for row in range(n_rows):
        first, end = rows.starts[row], rows.starts[row + 1]
        for prefix in range(n_prefixes):
            residual = gradients[prefix, row]
            before, sign = (gradients[prefix - 1, row], ONE) if prefix > 0 else (wanted[row], -ONE)
            for j in range(width):
                residual[j] = sign * before[j]
            last = first
            while last < end and rows.other[last] < ends[prefix]:
                codes += float(rows.codes[last])
                last += 1
            add_weighted(residual, rows.codes[first:last], rows.other[first:last], decoder)
            first = last
            square = ZERO
            for j in range(width):
                square += residual[j] * residual[j]
            squares[prefix] += float(square)
        add_later(gradients, row, scale)
    return codes


@compiled
def add_later(gradients: Float32[np.ndarray, "prefix row d_out"], row: int, scale: np.float32) -> None:
    """Make gradients[p, row] `scale` times the sum of itself and of those of all later prefixes, in place."""
    last = len(gradients) - 1
    for prefix in range(last, -1, -1):
        own, later = gradients[prefix, row], gradients[min(prefix + 1, last), row]
        rest = ONE if prefix < last else ZERO
        for j in range(len(own)):
            own[j] = scale * own[j] + rest * later[j]

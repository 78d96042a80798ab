"""How large a pre-activation x . w + bias can be at most, from a cheap product and a bound on its error.

int8     x = sx qx + ex and w = sw qw + ew, with whole qx, qw of at most 127. Then x . w = sx sw (qx . qw) + rest and
         |rest| = |ex . w + sx qx . ew| <= |ex| |w| + (|x| + |ex|) |ew|, whatever the numbers (Cauchy-Schwarz).
float32  a product of another library, in another order of sums: |rest| <= 2 d u |x| |w| with u = 2^-24
         (Higham 2002, section 3.1); here scales are 1 and errors 0.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int8, Int32

from sparse_coding.kernels.compiled import compiled
from sparse_coding.kernels.rows import ZERO

ONE = np.float32(1)
UNIT = np.float32(2.0**-24)  # of rounding, in float32
FEW_UNITS = np.float32(8 * 2.0**-24)
LARGEST = np.float32(127)
TINY = np.float32(1e-20)  # squares of what is smaller are lost in float32, and its scale would have no inverse


class Rounded(NamedTuple):
    """Vectors as scale * whole. `error` is at least |vector - scale * whole|, `norm` at least |vector|."""

    whole: Int8[np.ndarray, "line d_act"]
    scale: Float32[np.ndarray, " line"]
    error: Float32[np.ndarray, " line"]
    norm: Float32[np.ndarray, " line"]


class Screened(NamedTuple):
    """A batch, an encoder, and cheap products of the two; pre-activations are x @ encoder.T + bias.

    `scores` are products of whole numbers, or of the vectors themselves where these are not rounded.
    """

    x: Float32[np.ndarray, "row d_act"]
    encoder: Float32[np.ndarray, "n_feat d_act"]
    bias: Float32[np.ndarray, " n_feat"]
    rounded_x: Rounded
    rounded_encoder: Rounded
    scores: Int32[np.ndarray, "row n_feat"] | Float32[np.ndarray, "row n_feat"]


@compiled
def at_least(value: np.float32, width: int) -> np.float32:
    """An upper bound of a norm that was computed as `value`, in float32 over `width` entries."""
    return value * (ONE + np.float32(2 * width + 8) * UNIT) + TINY * np.float32(width)


@compiled
def largest_size(vector: Float32[np.ndarray, " d_act"]) -> np.float32:
    """The largest absolute value, found on the bits without sign: whole numbers can be compared many at a time."""
    bits = vector.view(np.int32)
    most = np.int32(0)
    for j in range(len(bits)):
        most = max(most, bits[j] & np.int32(0x7FFFFFFF))
    return np.int32(most).view(np.float32)


@compiled
def round_to_int8(vectors: Float32[np.ndarray, "line d_act"], rounded: Rounded) -> None:
    """Fill `rounded`: each vector has a scale of its own, that of its largest entry."""
    width = vectors.shape[1]
    for line in range(len(vectors)):
        vector, whole = vectors[line], rounded.whole[line]
        most = largest_size(vector)
        scale = most / LARGEST if most > TINY else ONE
        inverse = ONE / scale
        error, square = ZERO, ZERO
        for j in range(width):
            nearest = np.rint(vector[j] * inverse)  # at most 127: rounding cannot carry the largest entry further
            whole[j] = np.int8(nearest)
            rest = vector[j] - scale * nearest
            error += rest * rest
            square += vector[j] * vector[j]
        norm = np.sqrt(square)
        rounded.scale[line] = scale
        rounded.norm[line] = at_least(norm, width)
        rounded.error[line] = at_least(np.sqrt(error), width) + FEW_UNITS * norm


@compiled
def leave_unrounded(vectors: Float32[np.ndarray, "line d_act"], rounded: Rounded) -> None:
    """Fill all of `rounded` but `whole`, for products in float32."""
    width = vectors.shape[1]
    for line in range(len(vectors)):
        vector = vectors[line]
        square = ZERO
        for j in range(width):
            square += vector[j] * vector[j]
        rounded.scale[line] = ONE
        rounded.norm[line] = at_least(np.sqrt(square), width)
        rounded.error[line] = ZERO


@compiled
def are_finite(given: Screened) -> bool:
    """Whether no vector and no bias has an infinite or undefined entry."""
    total = ZERO
    for norms in (given.rounded_x.norm, given.rounded_encoder.norm, given.bias):
        for line in range(len(norms)):
            total += abs(norms[line])
    return bool(np.isfinite(total))


@compiled
def margin_of(given: Screened, row: int, feature: int) -> np.float32:
    """How far a pre-activation can be from its score; see upper_bounds, which has the same sum for many at a time."""
    x, w, width = given.rounded_x, given.rounded_encoder, given.x.shape[1]
    error = x.error[row]
    norm = x.norm[row] + error
    rounding = np.float32(4 * width + 32) * UNIT * norm
    bias = abs(given.bias[feature]) * FEW_UNITS
    return (error + rounding) * w.norm[feature] + norm * w.error[feature] + bias


@compiled
def upper_bounds(given: Screened, row: int, upper: Float32[np.ndarray, " n_feat"]) -> None:
    """Fill `upper` with bounds of the pre-activations of one row.

    What is compared with it is a float32 sum itself, so the bound also covers that sum's rounding, and its own.
    """
    x, w, bias, width = given.rounded_x, given.rounded_encoder, given.bias, given.x.shape[1]
    scale, error = x.scale[row], x.error[row]
    norm = x.norm[row] + error
    rounding = np.float32(4 * width + 32) * UNIT * norm
    line = given.scores[row]
    for feature in range(len(upper)):
        score = scale * w.scale[feature] * np.float32(line[feature]) + bias[feature]
        margin = (error + rounding) * w.norm[feature] + norm * w.error[feature] + abs(bias[feature]) * FEW_UNITS
        upper[feature] = score + margin

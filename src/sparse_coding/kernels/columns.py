"""The pass over the features: gradient, projection, Adam and unit norm of one row of weights at a time.

No gradient is kept beyond the row that it belongs to.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from sparse_coding.kernels.compiled import compiled
from sparse_coding.kernels.pattern import Pattern
from sparse_coding.kernels.rows import ZERO, add_weighted, products

ONE = np.float32(1)
AT_ONCE = 16  # rows of d_x_hat that are used twice while they are in the first-level cache


class Batch(NamedTuple):
    """What a feature needs of the batch: vectors, d loss / d x_hat, d penalty / d code; scratch for a feature."""

    x: Float32[np.ndarray, "row d_in"]
    d_x_hat: Float32[np.ndarray, "row d_out"]
    penalty: np.float32
    slopes: Float32[np.ndarray, " at_once"]
    d_encoder: Float32[np.ndarray, " d_in"]
    d_decoder: Float32[np.ndarray, " d_out"]


class Begun(NamedTuple):
    """Slopes that some features have beside those of their codes: place says which line is that of a feature, -1: none;
    an empty one: none has any."""

    place: Int32[np.ndarray, " n_feat"]
    d_encoder: Float32[np.ndarray, "some d_in"]
    d_bias: Float32[np.ndarray, " some"]
    d_decoder: Float32[np.ndarray, "some d_out"]


class AdamNumbers(NamedTuple):
    """Adam's numbers in one step: a weight moves by size * first / (sqrt(second) * correction + eps)."""

    beta1: np.float32
    beta2: np.float32
    eps: np.float32
    size: np.float32
    correction: np.float32


class Weights(NamedTuple):
    """Weights with Adam's moments, [n_feat, d_act] or [n_feat]."""

    values: Float32[np.ndarray, "..."]
    first: Float32[np.ndarray, "..."]
    second: Float32[np.ndarray, "..."]


class Atoms(NamedTuple):
    """Unit rows, and the lengths that they have while they are moved; no lengths: 1."""

    weights: Weights
    lengths: Float32[np.ndarray, " n_feat"]


@compiled
def adam(weights: Weights, row: int, gradient: Float32[np.ndarray, " d_act"], rates: AdamNumbers) -> None:
    """One step of Adam (Kingma & Ba 2015) for one row of weights."""
    values, first, second = weights.values[row], weights.first[row], weights.second[row]
    rest1, rest2 = ONE - rates.beta1, ONE - rates.beta2
    beta2, eps, size, correction = rates.beta2, rates.eps, rates.size, rates.correction
    for j in range(len(values)):
        slope = gradient[j]
        mean = first[j] + rest1 * (slope - first[j])
        square = beta2 * second[j] + rest2 * slope * slope
        first[j] = mean
        second[j] = square
        values[j] -= size * mean / (np.sqrt(square) * correction + eps)


@compiled
def adam_of_one(weights: Weights, at: int, slope: np.float32, rates: AdamNumbers) -> None:
    """`adam` for one number."""
    mean = weights.first[at] + (ONE - rates.beta1) * (slope - weights.first[at])
    square = rates.beta2 * weights.second[at] + (ONE - rates.beta2) * slope * slope
    weights.first[at] = mean
    weights.second[at] = square
    weights.values[at] -= rates.size * mean / (np.sqrt(square) * rates.correction + rates.eps)


@compiled
def make_tangent(gradient: Float32[np.ndarray, " d_act"], atom: Float32[np.ndarray, " d_act"]) -> None:
    """Take from `gradient` its part along the unit `atom`."""
    along = ZERO
    for j in range(len(atom)):
        along += gradient[j] * atom[j]
    for j in range(len(atom)):
        gradient[j] -= along * atom[j]


@compiled
def make_unit(atom: Float32[np.ndarray, " d_act"]) -> np.float32:
    """Scale `atom` to unit norm; the norm that it had."""
    square = ZERO
    for j in range(len(atom)):
        square += atom[j] * atom[j]
    norm = np.sqrt(square)
    scale = ONE / norm
    for j in range(len(atom)):
        atom[j] *= scale
    return norm


@compiled
def move_atom(atoms: Atoms, feature: int, gradient: Float32[np.ndarray, " d_act"], rates: AdamNumbers) -> None:
    """One step for an atom, against its gradient as a unit row; see core.architectures.contract.Form.lengths."""
    atom, lengths = atoms.weights.values[feature], atoms.lengths
    make_tangent(gradient, atom)
    if len(lengths) > 0:
        for j in range(len(atom)):
            gradient[j] /= lengths[feature]
            atom[j] *= lengths[feature]
    adam(atoms.weights, feature, gradient, rates)
    norm = make_unit(atom)
    if len(lengths) > 0:
        lengths[feature] = norm


@compiled
def sum_of(values: Float32[np.ndarray, " some"]) -> np.float32:
    """The sum of all values."""
    total = ZERO
    for at in range(len(values)):
        total += values[at]
    return total


@compiled
def add_gradients(
    columns: Pattern,
    feature: int,
    batch: Batch,
    atom: Float32[np.ndarray, " d_out"],
    d_encoder: Float32[np.ndarray, " d_in"],
    d_decoder: Float32[np.ndarray, " d_out"],
) -> np.float32:
    """Add slopes^T x to `d_encoder` and codes^T d_x_hat to `d_decoder`, which may be one; the gradient of the bias.

    The slope of a code is d loss / d pre-activation, atom . d_x_hat + penalty.
    """
    first, end = columns.starts[feature], columns.starts[feature + 1]
    total = ZERO
    for at in range(first, end, AT_ONCE):
        last = min(at + AT_ONCE, end)
        rows, slopes = columns.other[at:last], batch.slopes[: last - at]
        products(atom, batch.d_x_hat, rows, slopes)
        for place in range(len(slopes)):
            slopes[place] += batch.penalty
        add_weighted(d_encoder, slopes, rows, batch.x)
        add_weighted(d_decoder, columns.codes[at:last], rows, batch.d_x_hat)
        total += sum_of(slopes)
    return total


@compiled
def add_begun(
    begun: Begun, line: int, d_encoder: Float32[np.ndarray, " d_in"], d_decoder: Float32[np.ndarray, " d_out"]
) -> np.float32:
    """Add what a line of `begun` has; the slope of the bias."""
    for j in range(len(d_encoder)):
        d_encoder[j] += begun.d_encoder[line, j]
    for j in range(len(d_decoder)):
        d_decoder[j] += begun.d_decoder[line, j]
    return begun.d_bias[line]


@compiled
def update_tied(columns: Pattern, batch: Batch, atoms: Atoms, bias: Weights, rates: AdamNumbers) -> None:
    """A step for atoms that encode and decode: two paths lead to them."""
    gradient = batch.d_decoder
    for feature in range(len(bias.values)):
        atom = atoms.weights.values[feature]
        gradient[:] = 0
        slope = add_gradients(columns, feature, batch, atom, gradient, gradient)
        move_atom(atoms, feature, gradient, rates)
        adam_of_one(bias, feature, slope, rates)


@compiled
def update_untied(
    columns: Pattern,
    batch: Batch,
    encoder: Weights,
    bias: Weights,
    decoder: Atoms,
    d_centre: Float32[np.ndarray, " d_in"],
    rates: AdamNumbers,
    begun: Begun,
) -> None:
    """A step for encoder, bias and decoder.

    `d_centre` comes in as the sum of d_x_hat over rows; sum(slopes) @ encoder is taken from it: the centre is added
    to the output and subtracted from the input.
    """
    d_encoder, d_decoder = batch.d_encoder, batch.d_decoder
    for feature in range(len(bias.values)):
        row, atom = encoder.values[feature], decoder.weights.values[feature]
        d_encoder[:] = 0
        d_decoder[:] = 0
        slope = add_gradients(columns, feature, batch, atom, d_encoder, d_decoder)
        if len(begun.place) > 0 and begun.place[feature] >= 0:
            slope += add_begun(begun, begun.place[feature], d_encoder, d_decoder)
        for j in range(len(row)):
            d_centre[j] -= slope * row[j]
        adam(encoder, feature, d_encoder, rates)
        adam_of_one(bias, feature, slope, rates)
        move_atom(decoder, feature, d_decoder, rates)

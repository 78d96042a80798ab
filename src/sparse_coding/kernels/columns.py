"""The pass over the features: gradient, projection, Adam and unit norm of one row of weights at a time.

No gradient is kept beyond the row that it belongs to.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from sparse_coding.kernels.compiled import compiled
from sparse_coding.kernels.pattern import Pattern
from sparse_coding.kernels.rows import ZERO, add_weighted

ONE = np.float32(1)


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
def make_unit(atom: Float32[np.ndarray, " d_act"]) -> None:
    """Scale `atom` to unit norm."""
    square = ZERO
    for j in range(len(atom)):
        square += atom[j] * atom[j]
    scale = ONE / np.sqrt(square)
    for j in range(len(atom)):
        atom[j] *= scale


@compiled
def sum_of(values: Float32[np.ndarray, " room"], first: int, end: int) -> np.float32:
    """The sum from `first` to `end`."""
    total = ZERO
    for at in range(first, end):
        total += values[at]
    return total


@compiled
def update_tied(
    columns: Pattern,
    x: Float32[np.ndarray, "row d_act"],
    d_x_hat: Float32[np.ndarray, "row d_act"],
    atoms: Weights,
    bias: Weights,
    rates: AdamNumbers,
    gradient: Float32[np.ndarray, " d_act"],
) -> None:
    """A step for atoms that encode and decode: their gradient is slopes^T x + codes^T d_x_hat.

    `gradient` is scratch for one row of weights.
    """
    for feature in range(len(bias.values)):
        first, end = columns.starts[feature], columns.starts[feature + 1]
        gradient[:] = 0
        add_weighted(gradient, first, end, columns.slopes, columns.other, x)
        add_weighted(gradient, first, end, columns.codes, columns.other, d_x_hat)
        make_tangent(gradient, atoms.values[feature])
        adam(atoms, feature, gradient, rates)
        make_unit(atoms.values[feature])
        adam_of_one(bias, feature, sum_of(columns.slopes, first, end), rates)


@compiled
def update_untied(
    columns: Pattern,
    x: Float32[np.ndarray, "row d_act"],
    d_x_hat: Float32[np.ndarray, "row d_act"],
    encoder: Weights,
    bias: Weights,
    decoder: Weights,
    d_centre: Float32[np.ndarray, " d_act"],
    rates: AdamNumbers,
    gradient: Float32[np.ndarray, " d_act"],
) -> None:
    """A step for encoder (slopes^T x), bias and decoder (codes^T d_x_hat).

    `d_centre` comes in as the sum of d_x_hat over rows; sum(slopes) @ encoder is taken from it: the centre is added
    to the output and subtracted from the input. `gradient` is scratch for one row of weights.
    """
    width = x.shape[1]
    for feature in range(len(bias.values)):
        first, end = columns.starts[feature], columns.starts[feature + 1]
        slope, row = sum_of(columns.slopes, first, end), encoder.values[feature]
        for j in range(width):
            d_centre[j] -= slope * row[j]
        gradient[:] = 0
        add_weighted(gradient, first, end, columns.slopes, columns.other, x)
        adam(encoder, feature, gradient, rates)
        adam_of_one(bias, feature, slope, rates)
        gradient[:] = 0
        add_weighted(gradient, first, end, columns.codes, columns.other, d_x_hat)
        make_tangent(gradient, decoder.values[feature])
        adam(decoder, feature, gradient, rates)
        make_unit(decoder.values[feature])

"""What codes are made of pre-activations, beyond a ReLU: for training and for a saved dictionary, the same."""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.products import linear

RAMP = 10  # slope of a ramp; it begins at a threshold times 1 - 1 / RAMP


def ramp(m: Float[Tensor, "row n_feat"], theta: Float[Tensor, " n_feat"]) -> Float[Tensor, "row n_feat"]:
    """m above theta, 0 below 0.9 theta, and straight in between; theta at least 0."""
    return torch.minimum(m, RAMP * m - (RAMP - 1) * theta).relu()


def unrolled(
    x: Float[Tensor, "row d_act"],
    encoder: Float[Tensor, "n_feat d_act"],
    bias: Float[Tensor, " n_feat"],
    atoms: Float[Tensor, "n_feat d_act"],
    layers: int,
    momentum: float | Float[Tensor, " 1"],
) -> Float[Tensor, "row n_feat"]:
    """So many layers of ISTA with a momentum: core.architectures.lista has the formula."""
    codes = linear(x, encoder, bias).relu()
    ahead = codes + momentum * codes
    for _ in range(layers - 1):
        previous, codes = codes, (ahead + linear(x - ahead @ atoms, encoder, bias)).relu()
        ahead = codes + momentum * (codes - previous)
    return codes

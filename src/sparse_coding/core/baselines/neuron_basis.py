"""The neuron basis: the coordinate axes of the activation space, as the model has them."""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.baselines.signed import signed_basis
from sparse_coding.core.dictionary import Dictionary


def make(centre: Float[Tensor, " d_act"]) -> Dictionary:
    """The axes around `centre`, +d and -d."""
    axes = torch.eye(len(centre), dtype=centre.dtype)
    return signed_basis(axes, centre)

"""The neuron basis: the coordinate axes of the activation space, as the model has them."""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.baselines import original
from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.baselines.signed import signed_basis
from sparse_coding.core.dictionary import Dictionary


def build(vectors: Vectors, settings: Settings) -> Fitted:
    """It hangs on nothing but the mean."""
    if settings.get("original"):
        return original.identity_relu(vectors.d_act), {}
    return make(vectors.mean), {}


def work(rows: int, d_act: int, settings: Settings) -> Work:
    """None."""
    return Work()


def make(centre: Float[Tensor, " d_act"]) -> Dictionary:
    """The axes around `centre`, +d and -d."""
    axes = torch.eye(len(centre), dtype=centre.dtype)
    return signed_basis(axes, centre)

"""Keep the k largest codes of each vector, without a penalty (Gao et al. 2024, section 2.3).

    c = topk(relu((z - b_dec) E^T + b), k)        z_hat = c D + b_dec        ||d_i|| = 1
    loss = mean (z_hat - z)^2

Not implemented: the auxiliary loss that revives dead features.
"""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures import untied
from sparse_coding.core.architectures.contract import Gradients, Parameters, Penalty
from sparse_coding.core.dictionary import Dictionary, keep_largest

init = untied.init
constrain = untied.constrain


def gradients(parameters: Parameters, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Gradients:
    """As untied without a penalty: the choice of the k codes is constant almost everywhere."""

    def activation(pre: Tensor) -> Tensor:
        return keep_largest(pre.relu_(), min(penalty.k, pre.shape[1]))

    return untied.through_codes(parameters, z, activation, l1=0.0)


def fold(parameters: Parameters, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty) -> Dictionary:
    """Codes in the units of x; scaling does not change which codes are the largest."""
    return replace(untied.fold(parameters, mean, scale, penalty), activation="topk", k=penalty.k)

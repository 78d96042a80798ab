"""Keep the k largest codes of each vector, without a penalty (Gao et al. 2024, section 2.3).

    c = topk(relu((z - b_dec) E^T + b), k)        z_hat = c D + b_dec        ||d_i|| = 1
    loss = mean (z_hat - z)^2

Not implemented: the auxiliary loss that revives dead features.
"""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures import untied
from sparse_coding.core.architectures.contract import Parameters, Penalty
from sparse_coding.core.dictionary import Dictionary

form = replace(untied.form, keeps_largest=True)
init = untied.init


def fold(parameters: Parameters, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty) -> Dictionary:
    """Codes in the units of x; scaling does not change which codes are the largest."""
    return replace(untied.fold(parameters, mean, scale, penalty), activation="topk", k=penalty.k)

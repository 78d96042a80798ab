"""Keep the k largest codes of each vector, without a penalty (Gao et al. 2024, section 2.3).

    c = topk(relu((z - b_dec) E^T + b), k)        z_hat = c D + b_dec        ||d_i|| = 1
    loss = mean (z_hat - z)^2

Not implemented: the auxiliary loss that revives dead features.
"""

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures import original
from sparse_coding.core.architectures.contract import Architecture, Form, Parameters, Penalty, Settings, State
from sparse_coding.core.architectures.untied import Untied
from sparse_coding.core.dictionary import Dictionary


class TopK(Untied):
    """As untied, with another activation."""

    @property
    def form(self) -> Form:
        """Its parts."""
        return replace(super().form, keeps_largest=True)

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x; scaling does not change which codes are the largest."""
        return replace(super().fold(parameters, state, mean, scale, penalty), activation="topk", k=penalty.k)


def build(settings: Settings) -> Architecture:
    """With the weights of the original where the settings ask for them."""
    return original.wanted(TopK(), settings)

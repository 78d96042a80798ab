"""Separate encoder and decoder, unit-norm decoder rows, a learned centre (Bricken et al. 2023).

c = relu((z - b_dec) E^T + b)        z_hat = c D + b_dec        ||d_i|| = 1
loss = mean (z_hat - z)^2 + l1 * mean_b ||c_b||_1
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures import original
from sparse_coding.core.architectures.contract import (
    Architecture,
    Form,
    Parameters,
    Penalty,
    Settings,
    State,
    unit_rows,
)
from sparse_coding.core.architectures.licensed import Licensed
from sparse_coding.core.dictionary import Dictionary


class Untied(Licensed):
    """Two matrices and a centre."""

    @property
    def form(self) -> Form:
        """Its parts."""
        return Form(encoder="encoder", bias="bias", decoder="decoder", centre="decoder_bias")

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random unit decoder rows, the encoder equal to them, zero biases."""
        decoder = unit_rows(n_feat, d_act, generator)
        return {
            "encoder": decoder.clone(),
            "bias": torch.zeros(n_feat),
            "decoder": decoder,
            "decoder_bias": torch.zeros(d_act),
        }

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x, around the centre mean + scale * b_dec."""
        return Dictionary(
            encoder=parameters["encoder"].clone(),
            bias=parameters["bias"] * scale,
            decoder=parameters["decoder"].clone(),
            centre=mean + scale * parameters["decoder_bias"],
            gain=torch.ones(len(parameters["bias"])),
        )


def build(settings: Settings) -> Architecture:
    """With the weights of the original where the settings ask for them."""
    return original.wanted(Untied(), settings)

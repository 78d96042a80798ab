"""Two layers read a vector, one matrix puts it together: the semi-linear autoencoder of the original.

    h = relu(z H^T + g)        c = relu(h E^T + b)        z_hat = c D        ||d_i|| = 1
    loss = mean (z_hat - z)^2 + l1 * mean_b ||c_b||_1

h has 2 * d_act numbers. Before training they are the positive and negative parts of z, of which E makes z D^T: it
begins as the tied autoencoder and bends from there. The code of Cunningham et al. 2023 has no way from its class to a
dictionary; here the hidden layer is a part of the saved one.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.architectures.beginning import border
from sparse_coding.core.architectures.contract import (
    Architecture,
    Parameters,
    Penalty,
    Settings,
    State,
    Terms,
    unit_rows,
)
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.products import linear


class SemiLinear(Architecture):
    """A hidden layer, an encoder over it, a decoder."""

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random unit decoder rows; with the hidden layer, the encoder is equal to them; zero biases."""
        decoder, axes = unit_rows(n_feat, d_act, generator), torch.eye(d_act)
        return {
            "hidden": torch.cat([axes, -axes]),
            "hidden_bias": torch.zeros(2 * d_act),
            "encoder": torch.cat([decoder, -decoder], dim=1),
            "bias": torch.zeros(n_feat),
            "decoder": decoder,
        }

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """One bias for all features, with which a share `density` of the codes of `batch` is positive."""
        hidden = linear(batch, parameters["hidden"], parameters["hidden_bias"]).relu_()
        pre = linear(hidden, parameters["encoder"]).flatten()
        if (least := border(pre, density)) is not None:
            parameters["bias"].fill_(-float(least))

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above."""
        atoms = functional.normalize(parameters["decoder"], dim=1)
        hidden = torch.relu(z @ parameters["hidden"].T + parameters["hidden_bias"])
        codes = torch.relu(hidden @ parameters["encoder"].T + parameters["bias"])
        mse = (codes @ atoms - z).square().mean()
        return Terms(mse + penalty.l1 * codes.sum() / len(z), mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Rows of the decoder are made unit."""
        parameters["decoder"].div_(parameters["decoder"].norm(dim=1, keepdim=True))

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x: both layers scale with their biases."""
        return Dictionary(
            encoder=parameters["encoder"].clone(),
            bias=parameters["bias"] * scale,
            decoder=parameters["decoder"].clone(),
            centre=mean.clone(),
            gain=torch.ones(len(parameters["bias"])),
            hidden=parameters["hidden"].clone(),
            hidden_bias=parameters["hidden_bias"] * scale,
        )


def build(settings: Settings) -> Architecture:
    """It has no settings of its own."""
    return SemiLinear()

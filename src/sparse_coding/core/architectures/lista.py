"""An encoder that corrects itself: a few learned steps of ISTA (Gregor & LeCun 2010), as the original has them.

    c_1 = relu(z W^T + b)        c_t = relu(a + (z - a D) W^T + b),  a = c_{t-1} + rho (c_{t-1} - c_{t-2})
    z_hat = c_T D        ||d_i|| = 1        loss = mean (z_hat - z)^2 + l1 * mean_b ||c_b||_1

Each of the T layers adds to the codes what is left of the vector, read by W, and thresholds them; a feature that
another one has explained is taken back, which one layer cannot do. The layers share their weights, as in Gregor & LeCun
(eq. 7); -b is their threshold, on one side, since codes are never negative. rho, the momentum in the code of Cunningham
et al. 2023, is learned from 0. What is saved has the layers, and so the codes that were trained.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.activations import unrolled
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

STEP = 0.5  # of ISTA, before training; a whole one overshoots where several features share a direction


@dataclass(frozen=True)
class LISTA(Architecture):
    """An encoder and its bias, which all layers share, a decoder, one momentum. layers: T."""

    layers: int

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random unit decoder rows, the encoder a share of them, all else 0."""
        decoder = unit_rows(n_feat, d_act, generator)
        return {
            "encoder": STEP * decoder,
            "bias": torch.zeros(n_feat),
            "decoder": decoder,
            "momentum": torch.zeros(1),
        }

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """One bias for all features, with which a share `density` of the codes of the first layer is positive."""
        pre = linear(batch, parameters["encoder"]).flatten()
        if (least := border(pre, density)) is not None:
            parameters["bias"].fill_(-float(least))

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above."""
        atoms = functional.normalize(parameters["decoder"], dim=1)
        encoder, bias, momentum = (parameters[name] for name in ("encoder", "bias", "momentum"))
        codes = unrolled(z, encoder, bias, atoms, self.layers, momentum)
        mse = (codes @ atoms - z).square().mean()
        # With one layer there is no momentum, and a loss hangs on all that it has.
        return Terms(mse + penalty.l1 * codes.sum() / len(z) + 0 * momentum.sum(), mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Rows of the decoder are made unit."""
        parameters["decoder"].div_(parameters["decoder"].norm(dim=1, keepdim=True))

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x: each layer scales with its biases."""
        return Dictionary(
            encoder=parameters["encoder"].clone(),
            bias=parameters["bias"] * scale,
            decoder=parameters["decoder"].clone(),
            centre=mean.clone(),
            gain=torch.ones(len(parameters["bias"])),
            activation="lista",
            iterations=self.layers,
            momentum=float(parameters["momentum"]),
        )


def build(settings: Settings) -> Architecture:
    """By `layers`."""
    return LISTA(int(settings["layers"]))

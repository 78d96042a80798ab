"""A gate says which codes there are, and a magnitude how large they are (Rajamanoharan et al. 2024, arXiv:2404.16014).

    p = (z - b_dec) E^T + b_gate        m = exp(r_mag) * ((z - b_dec) E^T) + b_mag
    c = relu(m) where p > 0, else 0        z_hat = c D + b_dec        ||d_i|| = 1
    loss = mean (z_hat - z)^2 + l1 * mean_b ||relu(p_b)||_1 + mean (relu(p) [D] + [b_dec] - z)^2

What is in brackets is held fixed: an auxiliary loss, from which gates learn to put vectors together by themselves. The
first term has no slope in them, so that the penalty, which is on them alone, shrinks no code.

p and m share the rows of E, so p > 0 is m > b_mag - exp(r_mag) * b_gate: a dictionary with a threshold.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.architectures import reviving
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


class Gated(Architecture):
    """One encoder with two biases and a scale for each feature, a decoder, a centre."""

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random unit decoder rows, the encoder equal to them, all else 0."""
        decoder = unit_rows(n_feat, d_act, generator)
        return {
            "encoder": decoder.clone(),
            "gate_bias": torch.zeros(n_feat),
            "log_scale": torch.zeros(n_feat),
            "magnitude_bias": torch.zeros(n_feat),
            "decoder": decoder,
            "decoder_bias": torch.zeros(d_act),
        }

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """One bias for all gates, with which a share `density` of them is open on `batch`."""
        pre = linear(batch, parameters["encoder"]).flatten()  # before the first step the centre is 0
        if (least := border(pre, density)) is not None:
            parameters["gate_bias"].fill_(-float(least))

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above."""
        x = z - parameters["decoder_bias"]
        atoms = functional.normalize(parameters["decoder"], dim=1)
        shared = x @ parameters["encoder"].T
        gates = torch.relu(shared + parameters["gate_bias"])
        codes = torch.relu(parameters["log_scale"].exp() * shared + parameters["magnitude_bias"]) * (gates > 0)
        mse = (codes @ atoms - x).square().mean()
        by_gates = (gates @ atoms.detach() + parameters["decoder_bias"].detach() - z).square().mean()
        return Terms(mse + penalty.l1 * gates.sum() / len(z) + by_gates, mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Rows of the decoder are made unit."""
        parameters["decoder"].div_(parameters["decoder"].norm(dim=1, keepdim=True))

    def revive(self, parameters: Parameters, state: State, dead: Tensor, z: Float[Tensor, "dead d_act"]) -> list[str]:
        """Rows as of untied; both biases and the scale are 0 again."""
        x = z.to(parameters["encoder"].device) - parameters["decoder_bias"]
        reviving.set_encoder(parameters["encoder"], dead, x)
        reviving.set_rows(parameters, ("decoder",), dead, reviving.directions(x))
        numbers = ("gate_bias", "log_scale", "magnitude_bias")
        reviving.set_rows(parameters, numbers, dead, 0.0)
        return ["encoder", "decoder", *numbers]

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x. A gate that is open below a magnitude of 0 makes no difference: no code is there."""
        scales = parameters["log_scale"].exp()
        threshold = parameters["magnitude_bias"] - scales * parameters["gate_bias"]
        return Dictionary(
            encoder=scales[:, None] * parameters["encoder"],
            bias=parameters["magnitude_bias"] * scale,
            decoder=parameters["decoder"].clone(),
            centre=mean + scale * parameters["decoder_bias"],
            gain=torch.ones_like(scales),
            activation="jumprelu",
            threshold=threshold.clamp(min=0) * scale,
        )


def build(settings: Settings) -> Architecture:
    """It has no settings of its own."""
    return Gated()

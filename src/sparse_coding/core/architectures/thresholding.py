"""A threshold that is a steep ramp and no step, so that it has a slope: the thresholding autoencoder of the original.

    m = z D^T + b        c = relu(min(m, 10 m - 9 theta))        z_hat = c D        ||d_i|| = 1
    loss = mean (z_hat - z)^2 + l1 * mean_b ||c_b||_1

c is 0 below 0.9 theta, rises to theta there, and is m above: what the code of Cunningham et al. 2023 writes as theta *
(relu6(60 (u - 0.9)) / 6 + relu(u - 1)) with u = m / theta. Thresholds learn where codes are on the ramp; what is
trained is log theta, so that they stay positive. Their class cannot be run: it reads a centring that is never made.
Vectors are centred already here, and there is none. A bias is here, as in `tied`: without one it found half as much.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.activations import RAMP, ramp
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

FIRST = 0.05  # a threshold before training, in units of z


class Thresholding(Architecture):
    """One matrix, a bias and a threshold for each feature."""

    @property
    def matrices(self) -> tuple[str, str]:
        """One."""
        return "atoms", "atoms"

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random unit atoms, zero biases, equal thresholds."""
        return {
            "atoms": unit_rows(n_feat, d_act, generator),
            "bias": torch.zeros(n_feat),
            "log_threshold": torch.full((n_feat,), math.log(FIRST)),
        }

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """One bias for all features, with which a share `density` of the codes of `batch` is positive."""
        pre = linear(batch, parameters["atoms"]).flatten()
        if (least := border(pre, density)) is not None:
            parameters["bias"].fill_(FIRST * (RAMP - 1) / RAMP - float(least))

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above."""
        atoms = functional.normalize(parameters["atoms"], dim=1)
        codes = ramp(z @ atoms.T + parameters["bias"], parameters["log_threshold"].exp())
        mse = (codes @ atoms - z).square().mean()
        return Terms(mse + penalty.l1 * codes.sum() / len(z), mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Atoms are made unit."""
        parameters["atoms"].div_(parameters["atoms"].norm(dim=1, keepdim=True))

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x: thresholds are scaled as the codes are."""
        atoms = parameters["atoms"].clone()
        return Dictionary(
            encoder=atoms,
            bias=parameters["bias"] * scale,
            decoder=atoms,
            centre=mean.clone(),
            gain=torch.ones(len(atoms)),
            activation="ramp",
            threshold=parameters["log_threshold"].exp() * scale,
        )


def build(settings: Settings) -> Architecture:
    """It has no settings of its own."""
    return Thresholding()

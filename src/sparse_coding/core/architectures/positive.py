"""Directions without negative entries, for vectors that have a lower end: the positive autoencoder of the original.

    c = relu((z - s) D^T + b)        z_hat = c D + s        d_ij >= 0, ||d_i|| = 1
    loss = mean (z_hat - z)^2 + l1 * mean_b ||c_b||_1

s is where vectors begin, and learned; at first it is their mean. The code of Cunningham et al. 2023, for MLPs, adds
0.18 to all, the depth of the minimum of GELU, and forgets it in what it saves; here s is a part of the saved centre.
Their biases begin at -1; here each begins where a share of its feature's codes is positive. Rows begin with few large
entries: without signs, rows of even ones are nearly one direction.
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

LEAST = 1e-6  # an entry at least: a row of zeros has no direction


class Positive(Architecture):
    """One matrix, a bias for each feature, and where vectors begin."""

    @property
    def matrices(self) -> tuple[str, str]:
        """One."""
        return "atoms", "atoms"

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Cubes of random unit atoms, without their signs."""
        cubes = unit_rows(n_feat, d_act, generator).abs() ** 3
        atoms = cubes / cubes.norm(dim=1, keepdim=True)
        return {"atoms": atoms, "bias": torch.zeros(n_feat), "start": torch.zeros(d_act)}

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """A bias for each feature, with which a share `density` of its codes of `batch` is positive."""
        pre = linear(batch, parameters["atoms"])
        if (least := border(pre, density)) is not None:
            parameters["bias"].copy_(-least)

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above."""
        atoms, x = functional.normalize(parameters["atoms"], dim=1), z - parameters["start"]
        codes = torch.relu(x @ atoms.T + parameters["bias"])
        mse = (codes @ atoms - x).square().mean()
        return Terms(mse + penalty.l1 * codes.sum() / len(z), mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Atoms lose their negative entries and are made unit."""
        atoms = parameters["atoms"].clamp_(min=LEAST)
        atoms.div_(atoms.norm(dim=1, keepdim=True))

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x, around the centre mean + scale * s."""
        atoms = parameters["atoms"].clone()
        return Dictionary(
            encoder=atoms,
            bias=parameters["bias"] * scale,
            decoder=atoms,
            centre=mean + scale * parameters["start"],
            gain=torch.ones(len(atoms)),
        )


def build(settings: Settings) -> Architecture:
    """It has no settings of its own."""
    return Positive()

"""The paper's autoencoder: one matrix of unit rows encodes and decodes (Cunningham et al. 2023, section 2).

c = relu(z D^T + b)        z_hat = c D        ||d_i|| = 1
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


class Tied(Licensed):
    """One matrix."""

    @property
    def form(self) -> Form:
        """Its parts."""
        return Form(encoder="atoms", bias="bias", decoder="atoms")

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random unit atoms, zero bias."""
        return {"atoms": unit_rows(n_feat, d_act, generator), "bias": torch.zeros(n_feat)}

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x: scale * relu(z D^T + b) = relu((x - mean) D^T + scale * b)."""
        atoms = parameters["atoms"].clone()
        return Dictionary(
            encoder=atoms,
            bias=parameters["bias"] * scale,
            decoder=atoms,
            centre=mean.clone(),
            gain=torch.ones(len(atoms)),
        )


def build(settings: Settings) -> Architecture:
    """With the weights of the original where the settings ask for them."""
    return original.wanted(Tied(), settings)

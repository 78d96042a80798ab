"""A bias that decides which codes there are, and is taken out of them again: the reverse autoencoder of the original.

    m = z D^T + b        c = m - b where m > 0, else 0        z_hat = c D        ||d_i|| = 1, b <= 0
    loss = mean (z_hat - z)^2 + l1 * mean_b ||relu(m_b)||_1 + decay * ||b||_2

So a code is not shrunk by its bias: -b is a threshold, and what is saved is a dictionary with one. As in the code of
Cunningham et al. 2023, the reconstruction has no slope in b. The penalty pushes b down wherever a feature fires, the
decay pulls it up, and where they meet is how often features fire; without a decay they all die. b stays at most 0,
where in their code it might be above, and codes negative. `decode` of theirs raises, and it was never evaluated.
"""

from dataclasses import dataclass

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


@dataclass(frozen=True)
class Reverse(Architecture):
    """One matrix, and a bias for each feature. decay: the weight of the norm of biases."""

    decay: float

    @property
    def matrices(self) -> tuple[str, str]:
        """One."""
        return "atoms", "atoms"

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random unit atoms, zero biases."""
        return {"atoms": unit_rows(n_feat, d_act, generator), "bias": torch.zeros(n_feat)}

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """One bias for all features, with which a share `density` of the codes of `batch` is positive."""
        pre = linear(batch, parameters["atoms"]).flatten()
        if (least := border(pre, density)) is not None:
            parameters["bias"].fill_(min(-float(least), 0.0))

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above."""
        atoms = functional.normalize(parameters["atoms"], dim=1)
        shared = z @ atoms.T
        above = torch.relu(shared + parameters["bias"])
        codes = shared * (above > 0)
        mse = (codes @ atoms - z).square().mean()
        loss = mse + penalty.l1 * above.sum() / len(z) + self.decay * parameters["bias"].norm()
        return Terms(loss, mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Atoms are made unit; biases come back to 0 from above."""
        parameters["atoms"].div_(parameters["atoms"].norm(dim=1, keepdim=True))
        parameters["bias"].clamp_(max=0)

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x: what is above the threshold -b."""
        atoms = parameters["atoms"].clone()
        return Dictionary(
            encoder=atoms,
            bias=torch.zeros(len(atoms)),
            decoder=atoms,
            centre=mean.clone(),
            gain=torch.ones(len(atoms)),
            activation="jumprelu",
            threshold=-parameters["bias"] * scale,
        )


def build(settings: Settings) -> Architecture:
    """By `bias_decay`."""
    return Reverse(float(settings["bias_decay"]))

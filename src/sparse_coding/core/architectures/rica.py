"""Reconstruction ICA (Le et al. 2011), as the original has it: linear codes, with a smooth L1 penalty.

    s = g * (z D^T)        z_hat = (g * s) D        ||d_i|| = 1, g_i > 0
    loss = mean (z_hat - z)^2 + l1 * mean_b sum_i huber(s_bi)        huber(s) = |s| - w / 2; below w, s^2 / (2 w)

The rows g_i d_i have free lengths, as in the paper: more unit rows than dimensions would put together more than there
is. A code, which is a length in z_hat, is g_i s_i. Codes have signs, so each of the n_feat / 2 directions stands twice
in the dictionary, as +d and -d, with the positive parts of its code and of its opposite, as the baselines with signs
do. None is ever 0: L0 is n_feat / 2 whatever the penalty. The class of Cunningham et al. 2023 was never wired to an
experiment; its w of 1 is more than most codes of vectors of unit norm, so that its penalty is of squares, by which no
direction is better than another. Here w is a setting.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

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
from sparse_coding.errors import BadInput


@dataclass(frozen=True)
class RICA(Architecture):
    """One matrix, and a length for each direction. width: w, in units of z."""

    width: float

    @property
    def matrices(self) -> tuple[str, str]:
        """One."""
        return "atoms", "atoms"

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random unit directions, half as many as features, so long that z_hat is about z. Raises BadInput for an odd
        number of features."""
        if n_feat % 2:
            raise BadInput("grid.ratios: rica", f"{n_feat} features", "an even number: each direction is two of them")
        n = n_feat // 2
        lengths = torch.full((n,), 0.5 * math.log(min(d_act / n, 1.0)))
        return {"atoms": unit_rows(n, d_act, generator), "log_length": lengths}

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above; the codes with + come first."""
        atoms, lengths = functional.normalize(parameters["atoms"], dim=1), parameters["log_length"].exp()
        read = lengths * (z @ atoms.T)
        signed, size = lengths * read, read.abs()
        mse = (signed @ atoms - z).square().mean()
        smooth = torch.where(size < self.width, size.square() / (2 * self.width), size - self.width / 2)
        codes = torch.cat([signed.relu(), (-signed).relu()], dim=1)
        return Terms(mse + penalty.l1 * smooth.sum() / len(z), mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Directions are made unit."""
        parameters["atoms"].div_(parameters["atoms"].norm(dim=1, keepdim=True))

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Each direction twice."""
        atoms = torch.cat([parameters["atoms"], -parameters["atoms"]])
        squares = (2 * parameters["log_length"]).exp().repeat(2)
        zeros = torch.zeros(len(atoms))
        return Dictionary(encoder=atoms, bias=zeros, decoder=atoms, centre=mean.clone(), gain=squares)


def build(settings: Settings) -> Architecture:
    """By `smooth_below`."""
    return RICA(float(settings["smooth_below"]))

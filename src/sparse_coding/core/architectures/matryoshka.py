"""Nested dictionaries: the first features are to do by themselves (Bussmann et al. 2025, arXiv:2503.17547).

    c = topk(relu((z - b_dec) E^T + b), k)        z_hat_m = c_1..m D_1..m + b_dec        ||d_i|| = 1
    loss = mean over m of mean (z_hat_m - z)^2

m are the lengths of prefixes, all features the last of them. Features of the first prefixes are in most of these sums,
so that they come to be the general ones, which narrower ones beside them would otherwise take over bit by bit.

Codes are kept for each vector, and not over the batch as there: a saved one then needs no threshold that is learned
beside the training, and is a TopK dictionary. Not implemented: the auxiliary loss that revives dead features.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.architectures.contract import Architecture, Parameters, Penalty, Settings, State, Terms
from sparse_coding.core.architectures.topk import TopK
from sparse_coding.core.dictionary import Dictionary, keep_largest

TOPK = TopK()


@dataclass(frozen=True)
class Matryoshka(Architecture):
    """As TopK, with another loss. prefixes: shares of the features, ascending; all of them are one more."""

    prefixes: tuple[float, ...]

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """As TopK."""
        return TOPK.init(n_feat, d_act, generator)

    def density(self, penalty: Penalty, n_feat: int) -> float | None:
        """As TopK."""
        return TOPK.density(penalty, n_feat)

    def lengths(self, n_feat: int) -> list[int]:
        """Of the prefixes, ascending, each once: at least one feature, at last all of them."""
        return sorted({*(max(round(share * n_feat), 1) for share in self.prefixes), n_feat})

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above; what a prefix leaves over is what the one before it left, without the features between them."""
        x = z - parameters["decoder_bias"]
        atoms = functional.normalize(parameters["decoder"], dim=1)
        codes = torch.relu(x @ parameters["encoder"].T + parameters["bias"])
        codes = keep_largest(codes, min(penalty.k, codes.shape[1]))
        left, errors = x, []
        for start, end in pairwise([0, *self.lengths(len(atoms))]):
            left = left - codes[:, start:end] @ atoms[start:end]
            errors.append(left.square().mean())
        return Terms(torch.stack(errors).mean(), errors[-1], codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """As TopK."""
        TOPK.after(parameters, state, terms)

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """As TopK; features keep their order."""
        return TOPK.fold(parameters, state, mean, scale, penalty)


def build(settings: Settings) -> Architecture:
    """By `prefixes`."""
    return Matryoshka(tuple(settings["prefixes"]))

"""Nested dictionaries: the first features are to do by themselves (Bussmann et al. 2025, arXiv:2503.17547).

    m = relu((z - b_dec) E^T + b)        c = m where it is among the k * batch largest of the batch, else 0
    z_hat_n = c_1..n D_1..n + b_dec      ||d_i|| = 1
    loss = mean over n of mean (z_hat_n - z)^2, and the auxiliary loss of topk_aux on what the whole leaves

n are the lengths of prefixes, all features the last of them. Features of the first prefixes are in most of these sums,
so that they come to be the general ones, which narrower ones beside them would otherwise take over bit by bit.

Codes are kept over the batch, and in use above one threshold, as batchtopk has both. The paper has the sum of the
errors; the mean leaves the auxiliary loss, and the log, as large as those of other kinds.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.batchtopk import BatchTopK
from sparse_coding.core.architectures.contract import Architecture, Form, Settings


@dataclass(frozen=True)
class Matryoshka(BatchTopK):
    """As BatchTopK, with another loss. prefixes: shares of the features, ascending; all of them are one more."""

    prefixes: tuple[float, ...]

    @property
    def form(self) -> Form:
        """As BatchTopK, with prefixes."""
        return replace(super().form, prefixes=self.prefixes)

    def fit(self, x: Float[Tensor, "batch d_act"], codes: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
        """As above; what a prefix leaves over is what the one before it left, without the features between them."""
        left, errors = x, []
        for group in self.form.groups(len(atoms)):
            left = left - codes[:, group] @ atoms[group]
            errors.append(left.square().mean())
        return torch.stack(errors).mean(), left


def build(settings: Settings) -> Architecture:
    """By `prefixes` and what BatchTopK has."""
    running = float(settings["aux_weight"]), int(settings["dead_after"]), float(settings["threshold_rate"])
    return Matryoshka(*running, tuple(settings["prefixes"]))

"""What an architecture is to the ensemble that trains it."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Penalty:
    """What a member adds to its cell's architecture: the weight of the L1 penalty, or the number of codes kept."""

    l1: float = 0.0
    k: int = 0


@dataclass(frozen=True)
class Gradients:
    """One batch seen by one member.

    mse is the mean over batch and dimensions of (z_hat - z)^2, l1_norm the mean over the batch of ||c||_1.
    `codes` is [batch, n_feat]; `parameters` holds d loss / d parameter, tangent to the unit sphere for atoms.
    """

    loss: Tensor
    mse: Tensor
    l1_norm: Tensor
    codes: Float[Tensor, "batch n_feat"]
    parameters: Parameters


@runtime_checkable
class Architecture(Protocol):
    """A kind of sparse autoencoder, on activations z that are centred and scaled to unit mean norm."""

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Parameters before training, float32, a function of the generator's seed."""

    def gradients(self, parameters: Parameters, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Gradients:
        """The loss of one batch and its gradient, derived by hand."""

    def constrain(self, parameters: Parameters) -> None:
        """Put atoms back to unit norm, in place, after a step."""

    def fold(self, parameters: Parameters, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty) -> Dictionary:
        """The dictionary on raw activations x, where z = (x - mean) / scale."""


def unit_rows(n: int, d: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
    """Directions that are uniform on the sphere."""
    rows = torch.randn(n, d, generator=generator)
    return rows / rows.norm(dim=1, keepdim=True)


def renormalise(atoms: Float[Tensor, "n_feat d_act"]) -> None:
    """Scale each row to unit norm, in place."""
    atoms.div_(atoms.norm(dim=1, keepdim=True))


def tangent(gradient: Float[Tensor, "n_feat d_act"], atoms: Float[Tensor, "n_feat d_act"]) -> Tensor:
    """`gradient` without its part along each unit atom: what is left is the gradient through d / ||d||."""
    along = (gradient * atoms).sum(dim=1, keepdim=True)
    return gradient.addcmul_(along, atoms, value=-1)

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
class Form:
    """Which parameter plays which part in the one formula that all architectures share:

    c = activation((z - centre) E^T + bias)        z_hat = c D + centre        ||d_i|| = 1
    loss = mean (z_hat - z)^2 + l1 * mean_b ||c_b||_1

    E and D may be one parameter; without `centre` it is 0. The activation is a ReLU with an L1 penalty or, where
    `keeps_largest`, the k largest codes of the ReLU without one.

    A step leaves d_i of unit norm by scaling it. With `lengths`, what is trained is lengths_i * d_i, and the loss
    divides it by its length: that takes a part in how far a step turns d_i, and in nothing else.
    """

    encoder: str
    bias: str
    decoder: str
    centre: str | None = None
    keeps_largest: bool = False
    lengths: str | None = None

    @property
    def tied(self) -> bool:
        """Whether one matrix encodes and decodes."""
        return self.encoder == self.decoder


@runtime_checkable
class Architecture(Protocol):
    """A kind of sparse autoencoder, on activations z that are centred and scaled to unit mean norm."""

    @property
    def form(self) -> Form:
        """Its formula."""

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Parameters before training, float32, a function of the generator's seed."""

    def fold(self, parameters: Parameters, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty) -> Dictionary:
        """The dictionary on raw activations x, where z = (x - mean) / scale."""


def unit_rows(n: int, d: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
    """Directions that are uniform on the sphere."""
    rows = torch.randn(n, d, generator=generator)
    return rows / rows.norm(dim=1, keepdim=True)

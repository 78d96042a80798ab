"""Vectors of two places side by side, and where they are cut: what is encoded, then what is put together from it.

A site that is one place is the case in which both are the same vectors.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary


@dataclass(frozen=True)
class Cut:
    """d_in: dimensions of the first of two places; None: there is one place."""

    d_in: int | None = None

    def source(self, z: Float[Tensor, "*batch d_act"]) -> Float[Tensor, "*batch d_in"]:
        """What is encoded."""
        return z if self.d_in is None else z[..., : self.d_in]

    def target(self, z: Float[Tensor, "*batch d_act"]) -> Float[Tensor, "*batch d_out"]:
        """What is put together."""
        return z if self.d_in is None else z[..., self.d_in :]

    def rebuilt(self, dictionary: Dictionary, z: Float[Tensor, "*batch d_act"]) -> Float[Tensor, "*batch d_act"]:
        """`z` with the reconstruction in the place of what is put together."""
        x_hat = dictionary.reconstruct(self.source(z))
        return x_hat if self.d_in is None else torch.cat([self.source(z), x_hat], dim=-1)

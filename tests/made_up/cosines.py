"""A made-up baseline without settings, for the tests: the cosines of the discrete cosine transform (II), signed."""

import math

import torch

from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.baselines.signed import signed_basis


def build(vectors: Vectors, settings: Settings) -> Fitted:
    """They hang on nothing but the mean."""
    places = torch.arange(vectors.d_act, dtype=torch.float64)
    basis = torch.cos(math.pi / vectors.d_act * places[:, None] * (places + 0.5))
    return signed_basis(basis.to(vectors.mean.dtype), vectors.mean), {}


def work(rows: int, d_act: int, settings: Settings) -> Work:
    """None."""
    return Work()

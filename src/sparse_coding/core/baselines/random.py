"""Random directions: an orthonormal basis drawn uniformly (Haar measure), blind to the activations."""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.baselines import original
from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.baselines.signed import signed_basis
from sparse_coding.core.dictionary import Dictionary


def build(vectors: Vectors, settings: Settings) -> Fitted:
    """By `seed`."""
    seed = settings["seed"]
    if settings.get("original"):
        return original.random(vectors.d_act, seed=seed), {"seed": seed}
    return make(vectors.mean, seed=seed), {"seed": seed}


def work(rows: int, d_act: int, settings: Settings) -> Work:
    """A decomposition into Q and R takes about as long as these."""
    return Work(decompositions=5)


def make(centre: Float[Tensor, " d_act"], *, seed: int) -> Dictionary:
    """A random orthonormal basis around `centre`, +d and -d; each direction alone is uniform on the sphere.

    Orthonormal, because independent directions make an ill-conditioned basis: its reconstruction from the k
    largest codes is many times longer than the vector.
    """
    generator = torch.Generator().manual_seed(seed)
    gaussian = torch.randn(len(centre), len(centre), generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(gaussian)
    # QR is unique up to signs; LAPACK's choice is not uniform, a positive diagonal of R is (Mezzadri 2007).
    directions = (q * r.diagonal().sign()).T.to(centre.dtype)
    return signed_basis(directions, centre)

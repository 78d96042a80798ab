"""A made-up baseline with a setting of its own, for the tests: the directions of the centroids of k-means.

As many as dimensions, around the mean; a vector has a code for the one that it points along most.
Lloyd 1982, "Least squares quantization in PCM".
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.dictionary import Dictionary

ROWS = 2000


def build(vectors: Vectors, settings: Settings) -> Fitted:
    """In so many `rounds`, from vectors drawn by `seed`."""
    x = vectors.train.rows(vectors.sample(ROWS, settings["seed"])) - vectors.mean
    start = torch.randperm(len(x), generator=torch.Generator().manual_seed(settings["seed"]))[: vectors.d_act]
    centroids = x[start]
    for _ in range(settings["rounds"]):
        nearest = torch.cdist(x, centroids).argmin(1)
        sums = torch.zeros_like(centroids).index_add_(0, nearest, x)
        centroids = sums / torch.bincount(nearest, minlength=len(centroids)).clamp(min=1)[:, None]
    return _around(vectors.mean, centroids), {"seed": settings["seed"], "rounds": settings["rounds"]}


def work(rows: int, d_act: int, settings: Settings) -> Work:
    """Distances of each vector to each centroid."""
    return Work(products=settings["rounds"] * min(rows, ROWS))


def _around(mean: Float[Tensor, " d_act"], directions: Float[Tensor, "n d_act"]) -> Dictionary:
    atoms = directions / directions.norm(dim=1, keepdim=True).clamp(min=1e-12)
    zeros = atoms.new_zeros(len(atoms))
    return Dictionary(encoder=atoms, bias=zeros, decoder=atoms, centre=mean, gain=zeros + 1, activation="topk", k=1)

"""Principal components: orthonormal directions in order of variance (Pearson 1901; Hotelling 1933)."""

from collections.abc import Iterable

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.baselines import original
from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.baselines.signed import signed_basis
from sparse_coding.core.dictionary import Dictionary


def build(vectors: Vectors, settings: Settings) -> Fitted:
    """On all training vectors."""
    fitted = fit(vectors.blocks(), vectors.mean)
    is_original = settings.get("original")
    return original.around_zero(fitted) if is_original else fitted, {"fit_rows": vectors.train.n_rows}


def work(rows: int, d_act: int, settings: Settings) -> Work:
    """The covariance, and its eigenvectors."""
    return Work(double_products=rows, decompositions=5)


def fit(blocks: Iterable[Float[Tensor, "_ d_act"]], centre: Float[Tensor, " d_act"]) -> Dictionary:
    """The principal components of all rows of `blocks`, +d and -d, largest variance first.

    `centre` is the mean of the rows. An eigenvector has no sign of its own: its largest entry is made positive.
    """
    _, directions = principal(covariance(blocks, centre))
    return signed_basis(directions.to(centre.dtype), centre)


def principal(
    covariance: Float[Tensor, "d_act d_act"],
) -> tuple[Float[Tensor, " d_act"], Float[Tensor, "d_act d_act"]]:
    """The variances and orthonormal directions of a covariance, largest first, the largest entry of each positive."""
    variances, vectors = torch.linalg.eigh(covariance)
    directions = vectors.T.flip(0)
    largest = directions.gather(1, directions.abs().argmax(dim=1, keepdim=True))
    return variances.flip(0), directions * largest.sign()


def covariance(
    blocks: Iterable[Float[Tensor, "_ d_act"]], centre: Float[Tensor, " d_act"]
) -> Float[Tensor, "d_act d_act"]:
    """The mean of (x - centre)(x - centre)^T over all rows, in float64; one block is in memory at a time."""
    total = centre.new_zeros(len(centre), len(centre), dtype=torch.float64)
    n_rows = 0
    for block in blocks:
        centred = block.double() - centre.double()
        total.addmm_(centred.T, centred)
        n_rows += len(block)
    return total / n_rows

"""From one place of a model to another by a linear map: ridge regression, whole or of rank k (Izenman 1975).

    W = argmin over W of mean ||y - x W||^2 + r * ||W||^2,   x and y around their means, r = ridge * mean variance of x

Of rank k: W V V^T, where the k columns of V are the first eigenvectors of W^T C W, C the covariance of x plus r: the
best of that rank under the same penalty (Mukherjee & Zhu 2011). As a dictionary: the atoms are the columns of V, in
their order, as +v and -v, and codes are what is positive of x W v. So its L0 is its rank, or, whole, the number of
dimensions.
"""

from collections.abc import Iterable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.baselines.pca import covariance, principal
from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary


def build(vectors: Vectors, settings: Settings) -> Fitted:
    """On all training vectors of a pair."""
    fitted = fit(vectors.blocks(), vectors.mean, vectors.d_in, settings["ridge"])
    return fitted, {"ridge": settings["ridge"], "fit_rows": vectors.train.n_rows}


def work(rows: int, d_act: int, settings: Settings) -> Work:
    """The covariance of both places side by side, four times that of one; a system, and eigenvectors."""
    return Work(double_products=4 * rows, decompositions=10)


def fit(
    blocks: Iterable[Float[Tensor, "_ d_act"]], mean: Float[Tensor, " d_act"], d_in: int, ridge: float
) -> Dictionary:
    """The whole map from the first d_in dimensions of all rows of `blocks` to the others; mean: of the rows."""
    weights, atoms = solved(covariance(blocks, mean), d_in, ridge)
    readout, centre, out_centre = (atoms @ weights.T).to(mean.dtype), mean[:d_in].clone(), mean[d_in:].clone()
    return signed(atoms.to(mean.dtype), readout, centre, out_centre=out_centre)


def solved(
    moments: Float[Tensor, "d_act d_act"], d_in: int, ridge: float
) -> tuple[Float[Tensor, "d_in d_out"], Float[Tensor, "n d_out"]]:
    """W, and the directions of y that it reaches, first those in which most of y follows: as many as it can have."""
    within, across = moments[:d_in, :d_in], moments[:d_in, d_in:]
    penalty = ridge * within.diagonal().mean() * torch.eye(d_in, dtype=moments.dtype)
    weights = torch.linalg.lstsq(within + penalty, across, driver="gelsd").solution
    _, directions = principal(across.T @ weights)
    return weights, directions[: min(d_in, moments.shape[0] - d_in)]


def of_rank(whole: Dictionary, k: int) -> Dictionary:
    """The best map of rank k: its first k directions, with both signs."""
    n = whole.n_feat // 2
    kept = torch.cat([torch.arange(min(k, n)), n + torch.arange(min(k, n))])
    parts = {name: getattr(whole, name)[kept] for name in ("encoder", "bias", "decoder", "gain")}
    return replace(whole, **parts)

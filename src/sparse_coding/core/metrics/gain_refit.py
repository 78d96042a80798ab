"""One factor a feature against shrinkage: the L1 penalty pulls every code down, least squares pulls it back.

With the codes c and atoms d of a dictionary held still, find the gains g >= 0 that

    minimise  sum over vectors ||x - centre - sum_i g_i c_i d_i||^2.

This is a quadratic in g, with  A_ij = (sum c_i c_j) (d_i . d_j)  and  b_i = sum c_i (x - centre) . d_i :

    minimise  g A g - 2 b g   over  g >= 0.

Which codes are zero stays as it is, so L0 and interpretability scores do not change, save for a feature whose
best gain is 0. Wright & Sharkey 2024 ("Addressing feature suppression in SAEs") refit with the same aim.
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics.bounded_squares import bounded_squares

ROWS = 1024  # vectors encoded at a time: their codes stay in the cache of the processor
SPARSE = 0.05  # share of codes that are not 0, below which a product that skips the others is faster


def gain_refit(dictionary: Dictionary, batches: Iterable[Float[Tensor, "_ d_act"]]) -> Float[Tensor, " n_feat"]:
    """The best gain of each feature, at least 0, over the vectors of `batches`; for `Dictionary.with_gain`.

    Sums are float64; memory is a few times n_feat^2 of them. Where the best gains are not unique (a feature that never
    fires, two equal features) they are the ones nearest to 1, that is to no change.
    """
    atoms, centre = dictionary.atoms.double(), dictionary.centre.double()
    gram = torch.zeros(dictionary.n_feat, dictionary.n_feat, dtype=torch.float64)
    seen = torch.zeros_like(atoms)
    for x in (part for batch in batches for part in batch.split(ROWS)):
        _add_products(gram, seen, dictionary.encode(x).double(), x.double() - centre)
    gain = nonnegative_gains((gram * (atoms @ atoms.T)).numpy(), (seen * atoms).sum(dim=1).numpy())
    return torch.from_numpy(gain).to(dictionary.gain.dtype)


def _add_products(
    gram: Float[Tensor, "n_feat n_feat"],
    seen: Float[Tensor, "n_feat d_act"],
    codes: Float[Tensor, "row n_feat"],
    x: Float[Tensor, "row d_act"],
) -> None:
    """Add codes.T @ codes to `gram` and codes.T @ x to `seen`; codes that are 0 cost nothing where most are."""
    if np.count_nonzero(codes.numpy()) < SPARSE * codes.numel():
        held = csr_array(codes.numpy())
        gram += torch.from_numpy((held.T @ held).toarray())
        seen += torch.from_numpy(held.T @ x.numpy())
    else:
        gram.addmm_(codes.T, codes)
        seen.addmm_(codes.T, x)


def nonnegative_gains(normal: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """argmin over g >= 0 of g A g - 2 b g for `normal` A, positive semidefinite, and `target` b.

    Codes must stay non-negative, so a gain must be. Setting negative gains to 0 afterwards would leave the others
    wrong; they are solved for together. Unknown is the change h = g - 1, scaled to make the diagonal of A 1; the
    smallest h is taken where A is singular.
    """
    scale = np.sqrt(np.diag(normal))
    fires = scale > 0
    gain = np.ones_like(target)
    if not fires.any():
        return gain
    scale = scale[fires]
    correlation = normal[np.ix_(fires, fires)] / np.outer(scale, scale)
    rest = (target - normal.sum(axis=1))[fires] / scale
    gain[fires] += bounded_squares(correlation, rest, lower=-scale) / scale
    return np.maximum(gain, 0)  # a bound that is met is met to rounding only

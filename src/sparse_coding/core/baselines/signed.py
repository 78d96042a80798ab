"""Dictionaries that hold each direction twice, as +d and -d, because codes are not negative."""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary


def signed(
    directions: Float[Tensor, "n d_out"],
    readout: Float[Tensor, "n d_in"],
    centre: Float[Tensor, " d_in"],
    k: int | None = None,
    out_centre: Float[Tensor, " d_out"] | None = None,
) -> Dictionary:
    """A dictionary of +d and -d for each direction, whose code is the rectified `readout @ (x - centre)`.

    Without `k` its reconstruction is the linear one; with `k` it keeps the k codes of largest magnitude. out_centre:
    where what is put together is of another place.
    """
    norms = directions.norm(dim=1, keepdim=True)
    return _with_both_signs(readout * norms, directions / norms, centre, k, out_centre)


def signed_basis(basis: Float[Tensor, "d_act d_act"], centre: Float[Tensor, " d_act"]) -> Dictionary:
    """`signed` for an orthonormal basis, which reads itself out: encoder and decoder are the same numbers."""
    atoms = basis / basis.norm(dim=1, keepdim=True)
    return _with_both_signs(atoms, atoms, centre, None)


def _with_both_signs(
    encoder: Tensor, atoms: Tensor, centre: Tensor, k: int | None, out_centre: Tensor | None = None
) -> Dictionary:
    n_feat = 2 * len(atoms)
    return Dictionary(
        encoder=torch.cat([encoder, -encoder]),
        bias=atoms.new_zeros(n_feat),
        decoder=torch.cat([atoms, -atoms]),
        centre=centre,
        gain=atoms.new_ones(n_feat),
        activation="relu" if k is None else "topk",
        k=k,
        out_centre=out_centre,
    )

"""Non-negative matrix factorisation: parts that only add up (Lee & Seung 1999)."""

import torch
from jaxtyping import Float
from sklearn.decomposition import NMF
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary


def fit(sample: Float[Tensor, "row d_act"], *, iterations: int, encode_iterations: int, seed: int) -> Dictionary:
    """As many non-negative atoms as dimensions (or rows, if those are fewer), above the minimum of each dimension.

    The minimum is the sample's. A vector below it needs no care: non-negative least squares finds the nearest
    point that the atoms reach. Atoms that came out zero are dropped.

    Coordinate descent (Cichocki & Phan 2009) from "nndsvd" (Boutsidis & Gallopoulos 2008), for exactly
    `iterations`. The near choices fail without a word on activations: MiniBatchNMF hardly moves, and sklearn's
    stopping test compares with the first step, which may be so large that the second one passes ("nndsvda").
    """
    lowest = sample.min(dim=0).values
    solver = NMF(
        n_components=min(sample.shape),
        init="nndsvd",
        solver="cd",
        tol=0,
        max_iter=iterations,
        random_state=seed,
    ).fit((sample - lowest).numpy())
    atoms = torch.from_numpy(solver.components_)
    norms = atoms.norm(dim=1, keepdim=True)
    kept = norms[:, 0] > 0
    atoms = atoms[kept] / norms[kept]
    return Dictionary(
        encoder=atoms,
        bias=atoms.new_zeros(len(atoms)),
        decoder=atoms,
        centre=lowest,
        gain=atoms.new_ones(len(atoms)),
        activation="nnls",
        iterations=encode_iterations,
    )

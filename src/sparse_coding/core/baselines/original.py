"""The baselines as the code of Cunningham et al. 2023 has them, to compare with: docs/paper.md says what is odd.

All are around 0: the mean of the activations is not subtracted, as it is in pca, ica, neuron_basis and random.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from sklearn.decomposition import FastICA
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from sparse_coding.core.baselines.converging import Convergence, check_varies
from sparse_coding.core.dictionary import Dictionary


def around_zero(dictionary: Dictionary) -> Dictionary:
    """A basis that was found in centred vectors (PCA), applied to vectors that are not."""
    return replace(dictionary, centre=torch.zeros_like(dictionary.centre))


def identity_relu(d_act: int) -> Dictionary:
    """The neuron basis without its negatives: relu(x), n_feat = d_act."""
    return _rows(torch.eye(d_act), torch.eye(d_act))


def random(d_act: int, *, seed: int) -> Dictionary:
    """d_act independent Gaussian directions without their negatives, neither orthogonal nor of unit length."""
    rows = torch.randn(d_act, d_act, generator=torch.Generator().manual_seed(seed))
    return _rows(rows, rows)


def ica_topk(sample: Float[Tensor, "row d_act"], *, iterations: int, seed: int) -> tuple[Dictionary, Convergence]:
    """What encoded the top-k variants of ICA: the unmixing rows of *standardised* vectors, applied to raw ones.

    As rows are not of unit length, the codes that are the largest are not those of the longest parts; they are kept
    by their size as found, and `gain` makes them lengths of unit atoms. As many as there are directions in which
    `sample` varies: whitening the others would divide by rounding, or by 0. Raises BadInput as ica.fit.
    """
    check_varies(sample)
    scaled = StandardScaler().fit_transform(sample.double().numpy())
    rank = int(np.linalg.matrix_rank(scaled))
    solver = FastICA(rank, max_iter=iterations, random_state=seed, whiten="unit-variance").fit(scaled)
    rows = torch.from_numpy(solver.components_).to(sample.dtype)
    both = torch.cat([rows, -rows])
    return _rows(both, both), Convergence(solver.n_iter_, solver.n_iter_ < iterations)


def _rows(encoder: Float[Tensor, "n_feat d_act"], decoder: Float[Tensor, "n_feat d_act"]) -> Dictionary:
    """x_hat = relu(x @ encoder.T) @ decoder, as the contract of core.dictionary wants it: unit atoms, and gains."""
    norms = decoder.norm(dim=1)
    return Dictionary(
        encoder=encoder,
        bias=encoder.new_zeros(len(encoder)),
        decoder=decoder / norms.clamp(min=torch.finfo(norms.dtype).tiny)[:, None],  # a row of zeros stays one
        centre=encoder.new_zeros(encoder.shape[1]),
        gain=norms,
    )

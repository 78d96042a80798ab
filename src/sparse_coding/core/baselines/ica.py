"""Independent components: directions whose codes are as far from Gaussian as can be (FastICA, Hyvarinen 1999)."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from sklearn.decomposition import FastICA
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary, signed


class Convergence(NamedTuple):
    """Iterations run, and whether FastICA's own test ended them before the last one allowed."""

    iterations: int
    converged: bool


def fit(
    sample: Float[Tensor, "row d_act"], centre: Float[Tensor, " d_act"], *, iterations: int, seed: int
) -> tuple[Dictionary, Convergence]:
    """The independent components of `sample`, +d and -d around `centre`.

    All components at once ("parallel") with the log-cosh contrast, which suits heavy and light tails alike. The
    sample is whitened, so the scale of a dimension does not matter. In float32 if the sample is: a quarter of the
    time. sklearn warns (ConvergenceWarning) where `iterations` do not suffice; the result says so too.
    """
    centred = sample - centre
    scale = centred.square().mean().sqrt()  # sklearn's threshold for a null direction is absolute
    solver = FastICA(
        algorithm="parallel",
        fun="logcosh",
        whiten="unit-variance",
        whiten_solver="eigh",
        max_iter=iterations,
        random_state=seed,
    ).fit((centred / scale).numpy())
    readout = torch.from_numpy(solver.components_).double() / scale
    # Inverted here, in float64: else the linear reconstruction is exact to float32's rounding times the condition.
    directions = torch.linalg.pinv(readout).T
    dictionary = signed(directions.to(centre.dtype), readout.to(centre.dtype), centre)
    return dictionary, Convergence(solver.n_iter_, solver.n_iter_ < iterations)

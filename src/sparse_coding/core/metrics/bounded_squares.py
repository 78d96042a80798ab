"""Least squares over z >= lower, by normal equations whose matrix may be singular."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

Numbers = NDArray[np.float64]

NEGLIGIBLE = 1e-12  # relative; nearer to its bound than this, or of a smaller gradient, a number is at it
TRIES = 3  # exchanges of all that is wrong which make nothing better, before one is exchanged at a time


def bounded_squares(matrix: Numbers, target: Numbers, lower: Numbers) -> Numbers:
    """The smallest argmin over z >= `lower` of z M z - 2 t z, for a positive semidefinite M of unit diagonal.

    matrix: M, [n, n]; target: t, [n]; lower: [n]. Where no bound binds, exact by the eigenvectors of M. Where some do,
    by exchanges (`_exchanged`): each is a Cholesky factor, a tenth of the time of the eigenvectors.
    """
    values, vectors = np.linalg.eigh(matrix)
    least = len(values) * np.finfo(np.float64).eps * values[-1]
    kept = values > least
    root, vectors = np.sqrt(values[kept]), vectors[:, kept]
    seen = (vectors.T @ target) / root
    free = vectors @ (seen / root)
    if (free >= lower).all():
        return free
    found = _exchanged(matrix + 10 * least * np.eye(len(matrix)), vectors @ (root * seen), lower, free > lower)
    if found is None:
        return lsq_linear((vectors * root).T, seen, bounds=(lower, np.inf), method="bvls").x
    return found


def _exchanged(matrix: Numbers, target: Numbers, lower: Numbers, free: NDArray[np.bool_]) -> Numbers | None:
    """Block principal pivoting (Judice & Pires 1994, Kim & Park 2011) for a positive definite M.

    Guess which numbers are above their bound, solve for those, exchange all that are on the wrong side; where that
    makes nothing better, only the last of them, which ends in exact arithmetic. free: the first guess.
    None: not done after a few times n exchanges, by rounding.
    """
    wanted = target - matrix @ lower  # of y = z - lower >= 0
    small = NEGLIGIBLE * max(1.0, np.abs(wanted).max())
    fewest, tries = len(target) + 1, TRIES
    for _ in range(3 * len(target)):
        above = _solved(matrix, wanted, free)
        wrong = np.where(free, above < -small, matrix @ above - wanted < -small)
        count = int(wrong.sum())
        if not count:
            return lower + np.maximum(above, 0)
        if count < fewest:
            fewest, tries = count, TRIES
        elif tries:
            tries -= 1
        else:
            wrong[: np.flatnonzero(wrong)[-1]] = False
        free = free ^ wrong
    return None


def _solved(matrix: Numbers, wanted: Numbers, free: NDArray[np.bool_]) -> Numbers:
    """y with M y = `wanted` where free, 0 elsewhere."""
    found = np.zeros_like(wanted)
    if free.any():
        factor = torch.linalg.cholesky(torch.from_numpy(matrix[np.ix_(free, free)]))
        column = torch.from_numpy(wanted[free])[:, None]
        found[free] = torch.cholesky_solve(column, factor)[:, 0].numpy()
    return found

"""Where PCA top-k has the lower FVU: against each learned line, over the L0 that both were measured at."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from sparse_coding import methods, roles
from sparse_coding.figures.curves import Curve

Case = Literal["apart", "never", "partly", "crossing", "always"]


@dataclass(frozen=True)
class Against:
    """How a line compares with PCA top-k between the L0 `low` and `high`, which both have.

    case: `apart`, no L0 in common; PCA has the lower FVU `never`, `always`, from a `crossing` at L0 `place` on, or
    `partly`, but not at `high`.
    """

    case: Case
    low: float = np.nan
    high: float = np.nan
    place: float = np.nan


def compare(line: Curve, pca: Curve) -> Against:
    """Both are taken as straight between their points, over log L0."""
    (x, y), (x_pca, y_pca) = _log_l0_and_fvu(line), _log_l0_and_fvu(pca)
    if not len(x) or not len(x_pca):
        return Against("apart")
    start, end = max(x[0], x_pca[0]), min(x[-1], x_pca[-1])
    if start > end:
        return Against("apart")
    knots = np.unique(np.concatenate([x, x_pca, [start, end]]).clip(start, end))
    excess = np.interp(knots, x, y) - np.interp(knots, x_pca, y_pca)
    low, high = float(np.exp(start)), float(np.exp(end))
    below = np.flatnonzero(excess <= 0)
    if len(below) == len(excess):
        return Against("never", low, high)
    if not len(below):
        return Against("always", low, high)
    if excess[-1] <= 0:
        return Against("partly", low, high)
    last = below[-1]
    share = excess[last] / (excess[last] - excess[last + 1])
    return Against("crossing", low, high, float(np.exp(knots[last] + share * (knots[last + 1] - knots[last]))))


def _log_l0_and_fvu(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    points = curve.points[curve.points["l0"] > 0].dropna(subset=["fvu"])
    return np.log(points["l0"].to_numpy()), points["fvu"].to_numpy()


def with_pca(lines: list[Curve]) -> dict[str, Against]:
    """For each learned line of codes as they are, by its label; not for controls. Empty without PCA."""
    pca = next((line for line in lines if line.kind == roles.LINEAR), None)
    if pca is None:
        return {}
    whole = [line for line in lines if methods.is_learned(line.kind) and line.is_plain and line.control is None]
    return {line.label: compare(line, pca) for line in whole}


def of_l1(lines: list[Curve]) -> list[float]:
    """The crossings of the L1 lines; empty unless every one that shares an L0 with PCA has one."""
    labels = {line.label for line in lines if methods.of(line.kind).varies_in == "l1"}
    found = [against for label, against in with_pca(lines).items() if label in labels and against.case != "apart"]
    return [against.place for against in found] if all(against.case == "crossing" for against in found) else []

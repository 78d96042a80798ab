"""What a trainer reaches at an L0 that none of its dictionaries has exactly."""

import itertools
import math
from collections.abc import Sequence

NEAR = 0.005  # an L0 this near to the wished one, as a share of it, is that one


def at_l0(points: Sequence[tuple[float, float]], wanted: float) -> float | None:
    """The value at an L0 between neighbours of `points` (L0, value), linear in log L0; None outside of all."""
    ordered = sorted(points)
    for l0, value in ordered:
        if abs(l0 / wanted - 1) <= NEAR:
            return value
    for (low, below), (high, above) in itertools.pairwise(ordered):
        if 0 < low <= wanted <= high:
            return below + (above - below) * math.log(wanted / low) / math.log(high / low)
    return None


def beside(points: Sequence[tuple[float, float]], wanted: float) -> tuple[float, float] | None:
    """Where no two of `points` (L0, value) have an L0 between them: the nearest one."""
    if at_l0(points, wanted) is not None or not (there := [point for point in points if point[0] > 0]):
        return None
    return min(there, key=lambda point: abs(math.log(point[0] / wanted)))

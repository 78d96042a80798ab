"""What a number format loses of vectors, measured while they are written."""

import math
import sys

import torch
from torch import Tensor

from sparse_coding.errors import BadInput

ROWS = 4096  # that are compared at a time: some copies of them are in memory
REFUSED, SAID = 0.01, 0.001  # shares of the variance
SMALLEST, LARGEST = 1e-15, 1e15  # of the spread: float32, in which all that follows squares it, ends at 1e-19 and 1e19


class Rounding:
    """The variance of vectors, and how much of it their stored form misses.

    Metrics are taken against what is stored, so that this loss shows nowhere else.
    """

    def __init__(self, place: str, dtype: str, d_act: int) -> None:
        self.place, self.dtype = place, dtype
        self.n_rows, self.lost, self.squares = 0, 0.0, 0.0
        self.mean = torch.zeros(d_act, dtype=torch.float64)
        self.first: Tensor | None = None  # from which all are measured, so that a mean far from 0 costs no digits
        self.scale = 0.0  # keeps squares within float32; unknown while all vectors are 0
        self.vary = False

    def add(self, vectors: Tensor, stored: Tensor) -> None:
        """Measure vectors, [row, d_act] float32, against their stored form."""
        for exact, rounded in zip(vectors.detach().split(ROWS), stored.split(ROWS), strict=True):
            self.first = exact[0].clone() if self.first is None else self.first
            moved = exact - self.first
            self.vary = self.vary or bool(moved.any())
            if not self.scale and (largest := float(exact.abs().max())):
                self.scale = min(1 / largest, torch.finfo(torch.float32).max)
            self._add_variance(moved.mul_(self.scale))
            if rounded.dtype != exact.dtype:
                self.lost += _square((rounded.float() - exact).mul_(self.scale))

    def _add_variance(self, moved: Tensor) -> None:
        """Sums around the means of parts, put together: Chan, Golub and LeVeque, 1983."""
        mean, before, now = moved.mean(0), self.n_rows, len(moved)
        apart = mean.double() - self.mean
        self.n_rows = before + now
        self.squares += _square(moved - mean) + float(apart.square().sum()) * before * now / self.n_rows
        self.mean += apart * now / self.n_rows

    def check(self) -> None:
        """Say on stderr where vectors lose some of their variance.

        Raises BadInput where they do not vary, lose much, or float32 cannot square what they differ by.
        """
        if not self.vary:
            found = f"vectors that do not vary: all {self.n_rows} are the same"
            raise BadInput(self.place, found, "vectors that differ from one another")
        spread = math.sqrt(self.squares / self.n_rows) / self.scale
        if not SMALLEST <= spread <= LARGEST:
            found = f"vectors that are {spread:.2g} from their mean, in the root mean square"
            raise BadInput(self.place, found, f"{SMALLEST:g} to {LARGEST:g}: multiply them by a constant")
        share = self.lost / self.squares
        said = f"a rounding error of {100 * share:.3g} % of the variance in {self.dtype}"
        if share > REFUSED:
            raise BadInput(self.place, said, f"at most {100 * REFUSED:g} %: activations.dtype: float32")
        if share > SAID:
            print(f"{self.place}: {said}; activations.dtype: float32 has none", file=sys.stderr)


def _square(vectors: Tensor) -> float:
    return float(vectors.flatten().dot(vectors.flatten()))

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

    Metrics are taken against what is stored, so that this loss shows nowhere else. An error that is the same in all
    vectors is none: their mean, which is taken away from them, is that of what is stored.
    """

    def __init__(self, place: str, dtype: str, d_act: int) -> None:
        self.place, self.dtype = place, dtype
        self.spread, self.lost = _Spread(d_act), _Spread(d_act)  # of vectors, and of their errors
        self.first: Tensor | None = None  # from which all are measured, so that a mean far from 0 costs no digits
        self.scale = 0.0  # keeps squares within float32; unknown while all vectors are 0
        self.vary = False

    def add(self, vectors: Tensor, stored: Tensor) -> None:
        """Measure vectors, [row, d_act] float32, against their stored form."""
        for exact, rounded in zip(vectors.detach().split(ROWS), stored.split(ROWS), strict=True):
            self.first = exact[0].clone() if self.first is None else self.first
            moved = exact - self.first
            self.vary = self.vary or bool(moved.any())
            self._fit_scale(float(exact.abs().max()))
            self.spread.add(moved.mul_(self.scale))
            if rounded.dtype != exact.dtype:
                self.lost.add((rounded.float() - exact).mul_(self.scale))

    def _fit_scale(self, largest: float) -> None:
        """By the largest entry so far: what came before may be many times smaller."""
        if not largest:
            return
        scale = min(1 / largest, torch.finfo(torch.float32).max)
        if self.scale and scale < self.scale:
            for each in (self.spread, self.lost):
                each.multiply(scale / self.scale)
        self.scale = min(scale, self.scale or scale)

    def check(self) -> None:
        """Say on stderr where vectors lose some of their variance.

        Raises BadInput where they do not vary, lose much, or float32 cannot square what they differ by.
        """
        if not self.vary:
            found = f"vectors that do not vary: all {self.spread.n_rows} are the same"
            raise BadInput(self.place, found, "vectors that differ from one another")
        spread = math.sqrt(self.spread.squares / self.spread.n_rows) / self.scale
        if not SMALLEST <= spread <= LARGEST:
            found = f"vectors that are {spread:.2g} from their mean, in the root mean square"
            raise BadInput(self.place, found, f"{SMALLEST:g} to {LARGEST:g}: multiply them by a constant")
        share = self.lost.squares / self.spread.squares
        said = f"a rounding error of {100 * share:.3g} % of the variance in {self.dtype}"
        if share > REFUSED:
            raise BadInput(self.place, said, f"at most {100 * REFUSED:g} %: activations.dtype: float32")
        if share > SAID:
            print(f"{self.place}: {said}; activations.dtype: float32 has none", file=sys.stderr)


class _Spread:
    """The sum of squares around the mean, of parts that come one by one."""

    def __init__(self, d_act: int) -> None:
        self.n_rows, self.squares = 0, 0.0
        self.mean = torch.zeros(d_act, dtype=torch.float64)

    def add(self, part: Tensor) -> None:
        """Sums around the means of parts, put together: Chan, Golub and LeVeque, 1983."""
        mean, before, now = part.mean(0), self.n_rows, len(part)
        apart = mean.double() - self.mean
        self.n_rows = before + now
        self.squares += _square(part - mean) + float(apart.square().sum()) * before * now / self.n_rows
        self.mean += apart * now / self.n_rows

    def multiply(self, factor: float) -> None:
        """As if all that was added had been `factor` times as large."""
        self.squares *= factor**2
        self.mean *= factor


def _square(vectors: Tensor) -> float:
    return float(vectors.flatten().dot(vectors.flatten()))

"""The scratch of one thread, for all members that it trains."""

import threading

import numpy as np
import torch

from sparse_coding.kernels.bounds import Rounded
from sparse_coding.kernels.pattern import Pattern
from sparse_coding.kernels.screen import make_room

DENSEST = 0.2  # share of codes that may be positive in a sparse step; above, a dense one takes no longer


class Workspace:
    """Arrays for batches [n_rows, d_act] and n_feat features.

    The pattern by rows takes 3 * DENSEST of a batch of codes. The pattern by columns takes no room of its own: it lies
    where the scores of the screen were, when these are done with.
    """

    def __init__(self, n_rows: int, d_act: int, n_feat: int) -> None:
        self.shape = (n_rows, d_act, n_feat)
        self._places = int(DENSEST * n_rows * n_feat)
        room = self._places + 1  # see screen.positive
        self.rows = Pattern(np.empty(n_rows + 1, np.int64), np.empty(room, np.int32), *np.empty((2, room), np.float32))
        self.room = make_room(n_feat)._replace(upper=aligned(n_feat))
        self.d_x_hat = aligned(n_rows, d_act)
        self.gradient = aligned(d_act)
        self.rounded_x, self.rounded_encoder = _rounded(n_rows, d_act), _rounded(n_feat, d_act)
        self._column_starts = np.empty(n_feat + 1, np.int64)

    def columns_over(self, scores: np.ndarray) -> Pattern:
        """Room for the pattern by columns, over `scores` [n_rows, n_feat], 4 bytes each."""
        other, codes, slopes = scores.reshape(-1)[: 3 * self._places].reshape(3, self._places)
        return Pattern(self._column_starts, other.view(np.int32), codes.view(np.float32), slopes.view(np.float32))


class Workspaces(threading.local):
    """The workspace of each thread: that of the last shape."""

    def __init__(self) -> None:
        self._last: Workspace | None = None

    def of(self, n_rows: int, d_act: int, n_feat: int) -> Workspace:
        """The workspace of this thread."""
        if self._last is None or self._last.shape != (n_rows, d_act, n_feat):
            self._last = Workspace(n_rows, d_act, n_feat)
        return self._last


def aligned(*shape: int) -> np.ndarray:
    """Float32 that begins at a cache line, which torch sees to and numpy does not: vector units read it faster."""
    return torch.empty(shape).numpy()


def _rounded(n: int, d_act: int) -> Rounded:
    return Rounded(np.empty((n, d_act), np.int8), *(aligned(n) for _ in range(3)))

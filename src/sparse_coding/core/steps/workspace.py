"""The scratch of one thread, for all members that it trains."""

import threading

import numpy as np

from sparse_coding.core.finder import Finder, aligned
from sparse_coding.kernels.columns import AT_ONCE
from sparse_coding.kernels.pattern import Pattern

DENSEST = 0.2  # share of codes that may be positive in a sparse step; above, a dense one takes no longer


class Workspace:
    """Arrays for batches [n_rows, d_act] and n_feat features.

    The pattern by rows takes 2 * DENSEST of a batch of codes. The pattern by columns takes no room of its own: it lies
    where the scores of the screen were, when these are done with.
    """

    def __init__(self, n_rows: int, d_act: int, n_feat: int) -> None:
        self.shape = (n_rows, d_act, n_feat)
        self.finder = Finder(n_rows, d_act, n_feat, int(DENSEST * n_rows * n_feat))
        self.d_x_hat = aligned(n_rows, d_act)
        self.slopes, self.gradients = aligned(AT_ONCE), aligned(2, d_act)
        self._column_starts = np.empty(n_feat + 1, np.int64)

    def columns_over(self, scores: np.ndarray) -> Pattern:
        """Room for the pattern by columns, over `scores` [n_rows, n_feat], 4 bytes each."""
        other, codes = scores.reshape(-1)[: 2 * self.finder.places].reshape(2, -1)
        return Pattern(self._column_starts, other.view(np.int32), codes.view(np.float32))


class Workspaces(threading.local):
    """The workspace of each thread: that of the last shape."""

    def __init__(self) -> None:
        self._last: Workspace | None = None

    def of(self, n_rows: int, d_act: int, n_feat: int) -> Workspace:
        """The workspace of this thread."""
        if self._last is None or self._last.shape != (n_rows, d_act, n_feat):
            self._last = Workspace(n_rows, d_act, n_feat)
        return self._last

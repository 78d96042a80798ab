"""The scratch of one thread, for all members that it trains."""

import threading

import numpy as np

from sparse_coding.core.finder import Finder, aligned
from sparse_coding.kernels.columns import AT_ONCE
from sparse_coding.kernels.pattern import Pattern
from sparse_coding.portions.training import DENSEST


class Workspace:
    """Arrays for batches [n_rows, d_in] and n_feat features; d_out: of what is put together, where that is another.

    The pattern by rows takes 2 * DENSEST of a batch of codes. The pattern by columns takes no room of its own: it lies
    where the scores of the screen were, when these are done with; and beside it that of the windows around thresholds.
    """

    def __init__(self, n_rows: int, d_in: int, n_feat: int, d_out: int | None = None) -> None:
        d_out = d_out or d_in
        self.shape = (n_rows, d_in, n_feat, d_out)
        self.finder = Finder(n_rows, d_in, n_feat, int(DENSEST * n_rows * n_feat))
        self.d_x_hat = aligned(n_rows, d_out)
        self.slopes, self.d_encoder, self.d_decoder = aligned(AT_ONCE), aligned(d_in), aligned(d_out)
        self._nested = np.empty(0, np.float32)
        self._column_starts = np.empty((2, n_feat + 1), np.int64)

    def d_x_hats(self, n_prefixes: int) -> np.ndarray:
        """Room for as many gradients of the output, [prefix, row, d_out]; that of one is `d_x_hat`."""
        if n_prefixes == 1:
            return self.d_x_hat[None]
        if len(self._nested) != n_prefixes:
            self._nested = aligned(n_prefixes, *self.d_x_hat.shape)
        return self._nested

    def columns_over(self, scores: np.ndarray) -> tuple[Pattern, Pattern]:
        """Room for two patterns by columns, over `scores` [n_rows, n_feat], 4 bytes each."""
        codes, windows = scores.reshape(-1)[: 4 * self.finder.places].reshape(2, 2, -1)
        return self._columns(0, codes), self._columns(1, windows)

    def _columns(self, which: int, place: np.ndarray) -> Pattern:
        return Pattern(self._column_starts[which], place[0].view(np.int32), place[1].view(np.float32))


class Workspaces(threading.local):
    """The workspace of each thread: that of the last shape."""

    def __init__(self) -> None:
        self._last: Workspace | None = None

    def of(self, *shape: int) -> Workspace:
        """The workspace of this thread; shape: all that `Workspace` asks for."""
        if self._last is None or self._last.shape != shape:
            self._last = Workspace(*shape)
        return self._last

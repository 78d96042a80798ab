"""Training vectors without those of very large norm: what some models have at a few tokens that attention rests on.

Their norm may be a hundred times that of all others, and then they are most of the squared error. Of a file with a
limit, the others are one split: the stream draws from it as from any other, and batches stay as large as they are.
Of a pair of places a row is left out where one of its vectors is.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_coding.errors import BadInput
from sparse_coding.io.activations.pairs import SideBySide, SiteVectors, scale_of
from sparse_coding.io.activations.reader import Split

READ_ROWS = 8192  # at a time


class Some:
    """Some rows of a split, numbered anew in their order: what a stream needs of a split."""

    def __init__(self, whole: Split | SideBySide, rows: NDArray[np.int64]) -> None:
        self.n_rows, self.d_act, self.dtype = len(rows), whole.d_act, whole.dtype
        self._whole, self._rows = whole, torch.from_numpy(rows)

    def read_into(self, rows: Tensor, start: int, stop: int) -> None:
        """As Split.read_into; of a few rows that are left out between them, the bytes are read too."""
        own = self._rows[start:stop]
        if len(own) < stop - start or start < 0:
            raise IndexError(f"rows {start} to {stop} of {self.n_rows}")
        if not len(own):
            return
        first, last = int(own[0]), int(own[-1]) + 1
        if last - first == len(own):
            self._whole.read_into(rows, first, last)
            return
        around = torch.empty(last - first, self.d_act, dtype=self.dtype)
        self._whole.read_into(around, first, last)
        rows.copy_(around[own - first])


@dataclass(frozen=True, eq=False)
class Vectors:
    """What is trained on: a split, its mean [d_act] and the mean norm without it; left_out: what is said of the others.

    scale: that norm, of a pair a number a dimension [d_act]. left_out: None without a limit; else the largest norm that
    is trained on, of a pair for each place, and how many vectors are longer.
    """

    split: Split | SideBySide | Some
    mean: Tensor
    scale: float | Tensor
    left_out: dict[str, float] | None = None

    def normal(self, normalise: bool, length: float = 1.0) -> tuple[Tensor, float | Tensor]:
        """The mean and the scale that these are normalised by, to a mean norm of `length`; those that change nothing,
        where that is not wished."""
        return (self.mean, self.scale / length) if normalise else (0 * self.mean, 1.0)

    def say(self) -> None:
        """On stderr, so in the log, where there is a limit."""
        if self.left_out is not None:
            print(f"dictionaries.norm_limit: {self.words()}", file=sys.stderr)

    def words(self) -> str:
        """What is left out, in words, for the log."""
        told = self.left_out or {"longest": float("inf"), "train": 0}
        of = self.split.n_rows + int(told["train"])
        beside = f"; {told['held_out']} held-out ones, which are evaluated" if "held_out" in told else ""
        return f"{told['train']} of {of} vectors are longer than {told['longest']:.6g}{beside}"


def trained_on(file: SiteVectors, limit: float | None) -> Vectors:
    """Those of the split train that are at most `limit` times as long as their median; None: all.

    Raises BadInput where all that are left are one vector.
    """
    train, widths = file.split("train"), [each.d_act for each in file.files]
    if limit is None:
        return Vectors(train, file.mean, file.scale)
    norms = _norms(train, widths)
    most = limit * np.median(norms, axis=0)
    rows = np.flatnonzero((norms <= most).all(axis=1))
    told = dict(zip(("longest", "longest_target"), most.tolist(), strict=False))
    told["train"] = len(norms) - len(rows)
    if "held_out" in file.files[0].splits:
        told["held_out"] = int((_norms(file.split("held_out"), widths) > most).any(axis=1).sum())
    if not told["train"]:
        return Vectors(train, file.mean, file.scale, told)
    some = Some(train, rows)
    mean, lengths = _moments(some, widths)
    if not min(lengths) > 0:
        raise BadInput(f"{file.path}, below dictionaries.norm_limit", "vectors that do not vary", "a higher limit")
    return Vectors(some, mean, scale_of(lengths, widths), told)


def _norms(split: Split | SideBySide, widths: list[int]) -> NDArray[np.float64]:
    """Of each place, [row, place]."""
    found = [[part.double().norm(dim=1) for part in rows.split(widths, dim=1)] for rows in _portions(split)]
    return torch.cat([torch.stack(parts, dim=1) for parts in found]).numpy()


def _moments(some: Some, widths: list[int]) -> tuple[Tensor, list[float]]:
    """As of the whole split in a file; the mean norms of the places."""
    total, norms = torch.zeros(some.d_act, dtype=torch.float64), [0.0] * len(widths)
    for rows in _portions(some):
        total += rows.sum(0, dtype=torch.float64)
    mean = (total / some.n_rows).float()
    for rows in _portions(some):
        for place, part in enumerate((rows - mean).split(widths, dim=1)):
            norms[place] += float(part.norm(dim=1).sum(dtype=torch.float64))
    return mean, [norm / some.n_rows for norm in norms]


def _portions(split: Split | SideBySide | Some) -> Iterator[Tensor]:
    for start in range(0, split.n_rows, READ_ROWS):
        stop = min(start + READ_ROWS, split.n_rows)
        rows = torch.empty(stop - start, split.d_act)
        split.read_into(rows, start, stop)
        yield rows

"""The codes of a batch that are not zero, found by a screen (kernels.screen): a few exact products instead of all."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_coding.core.products import fastest, int8_is_fast
from sparse_coding.kernels import batch, bounds, screen, thresholds
from sparse_coding.kernels.bounds import Rounded, Screened
from sparse_coding.kernels.pattern import Pattern
from sparse_coding.kernels.thresholds import Borders
from sparse_coding.portions.encoding import SCREENED_ROWS

# A feature that the screen lets pass in vain costs an exact product. With int8, float32's dearer screen is saved: it
# pays as long as no more than this share of all features passes in vain (measured; it moves no result).
WORTH_INT8 = 0.15
ROUNDS_WITHOUT_INT8 = 64
BELOW = 0.95  # of the border of the last batch: that of the next one is rarely smaller (measured; it moves no result)


@dataclass
class Screen:
    """Which product is screened with; int8 rests for a while where it lets too many features pass.

    border: the smallest code that was kept of the last batch, where codes are kept over batches. No result hangs on it.
    """

    int8: bool
    rests: int = 0
    border: float = 0.0

    @classmethod
    def fastest(cls) -> "Screen":
        """int8 where the processor is fast at it."""
        return cls(int8_is_fast())

    def use_int8(self) -> bool:
        """Whether the next round uses int8."""
        self.rests = max(self.rests - 1, 0)
        return self.int8 and not self.rests

    def learn(self, in_vain: float) -> None:
        """Hear which share of the features passed an int8 screen in vain."""
        if in_vain > WORTH_INT8:
            self.rests = ROUNDS_WITHOUT_INT8


class Finder:
    """Finds codes of batches [n_rows, d_act] with n_feat features; `rows` holds those of the last batch.

    With thresholds, `windows` holds the pre-activations in the windows around these.
    """

    def __init__(self, n_rows: int, d_act: int, n_feat: int, places: int) -> None:
        """`places`: how many codes there is room for."""
        self.places = places
        self.rows = _by_row(n_rows, places)
        self._room = screen.make_room(n_feat)._replace(upper=aligned(n_feat))
        self._rounded_x, self._rounded_encoder = _rounded(n_rows, d_act), _rounded(n_feat, d_act)

    @cached_property
    def windows(self) -> Pattern:
        """As large as `rows`; who has no thresholds needs none."""
        return _by_row(len(self.rows.starts) - 1, self.places)

    def find(
        self,
        x: np.ndarray,
        encoder: np.ndarray,
        bias: np.ndarray,
        k: int | None,
        by: Screen,
        borders: Borders | None = None,
        of_batch: bool = False,
    ) -> Screened | None:
        """Fill `rows`; k: see screen.largest, None for all that are positive. None where there is no room for them.

        borders: instead, all that are above their thresholds, and `windows`. of_batch: the k * row largest of all rows.

        Where something is not finite, nothing is found; see bounds.are_finite.
        """
        use_int8 = by.use_int8() and x.shape[1] > 1  # torch's product of int8 columns is wrong
        given = self._screened(x, encoder, bias, use_int8)
        if not bounds.are_finite(given):
            return given
        blind = of_batch and not by.border  # the first look lets pass all that is positive
        if borders is not None:
            low = thresholds.lowered(given, borders)
            passed = thresholds.above(given, low, borders, self._room, self.rows, self.windows)
        elif k is None:
            passed = screen.positive(given, self._room, self.rows)
        elif of_batch:
            guess, of_all = np.float32(BELOW * by.border), min(k, len(bias)) * len(x)
            passed, border = batch.largest_of_batch(given, of_all, guess, self._room, self.rows)
            by.border = float(border)
        else:
            passed = screen.largest(given, min(k, len(bias)), self._room, self.rows)
        found = passed != screen.TOO_MANY  # as int8 lets pass the more, the denser codes are, it rests then too
        if use_int8 and not blind:
            wanted = int(self.rows.starts[-1]) + (int(self.windows.starts[-1]) if borders is not None else 0)
            by.learn((passed - wanted) / given.scores.size if found else 1.0)
        return given if found else None

    def _screened(self, x: np.ndarray, encoder: np.ndarray, bias: np.ndarray, use_int8: bool) -> Screened:
        """With the cheap products of x and encoder, int32 or float32, and bounds of how far off they are."""
        rounded_x, rounded_encoder = self._rounded_x, self._rounded_encoder
        if use_int8:
            bounds.round_to_int8(x, rounded_x)
            bounds.round_to_int8(encoder, rounded_encoder)
            whole_x, whole_encoder = (torch.from_numpy(each.whole) for each in (rounded_x, rounded_encoder))
            scores = torch._int_mm(whole_x, whole_encoder.T)
        else:
            bounds.leave_unrounded(x, rounded_x)
            bounds.leave_unrounded(encoder, rounded_encoder)
            scores = fastest(torch.from_numpy(x), torch.from_numpy(encoder))
        return Screened(x, encoder, bias, rounded_x, rounded_encoder, scores.numpy())


def largest_codes(
    x: Float[Tensor, "row d_act"],
    encoder: Float[Tensor, "n_feat d_act"],
    bias: Float[Tensor, " n_feat"],
    k: int,
    features: Int[Tensor, " chosen"],
) -> Float[Tensor, "row chosen"] | None:
    """The codes of some features where the k largest of all features are kept, of equal ones the first.

    float32 on the processor; features from 0 to n_feat - 1. None where something is not finite.
    """
    once, columns = np.unique(features.numpy(), return_inverse=True)
    if len(once) < len(features):
        codes = largest_codes(x, encoder, bias, k, torch.from_numpy(once))
        return None if codes is None else codes[:, torch.from_numpy(columns)]
    place = np.full(len(bias), -1)
    place[features.numpy()] = np.arange(len(features))  # of numpy: an index of one number in a tensor is a number
    # Also where no gradient is recorded, numpy takes no tensor that wants one.
    weights = encoder.detach().contiguous().numpy(), bias.detach().contiguous().numpy()
    by, found = Screen.fastest(), []
    for part in x.detach().contiguous().split(SCREENED_ROWS):
        finder = Finder(len(part), x.shape[1], len(bias), len(part) * k)
        given = finder.find(part.numpy(), *weights, k, by)
        if given is None or not bounds.are_finite(given):
            return None
        starts, other, values = finder.rows
        row, column = np.repeat(np.arange(len(part)), np.diff(starts)), place[other[: starts[-1]]]
        found.append(np.zeros((len(part), len(features)), np.float32))
        chosen = np.flatnonzero(column >= 0)
        found[-1][row[chosen], column[chosen]] = values[chosen]
    return torch.from_numpy(np.concatenate(found))


def aligned(*shape: int) -> np.ndarray:
    """Float32 that begins at a cache line, which torch sees to and numpy does not: vector units read it faster."""
    return torch.empty(shape).numpy()


def _by_row(n_rows: int, places: int) -> Pattern:
    room = places + 1  # see screen.positive
    return Pattern(np.empty(n_rows + 1, np.int64), np.empty(room, np.int32), np.empty(room, np.float32))


def _rounded(n: int, d_act: int) -> Rounded:
    return Rounded(np.empty((n, d_act), np.int8), *(aligned(n) for _ in range(3)))

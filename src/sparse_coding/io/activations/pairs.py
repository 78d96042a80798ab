"""The vectors of a site as those who train and measure read them: of one place, or of both places of a pair.

The two files of a pair stay as they are. Read together, a row is the vector of the one beside that of the other, of the
same token.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from sparse_coding.core.cut import Cut
from sparse_coding.errors import BadInput
from sparse_coding.io.activations.layout import SplitName
from sparse_coding.io.activations.reader import ActivationsFile, Split, open_activations


class SideBySide:
    """A split of two files, as one of wider rows: what `Split` has of `read`, `read_into` and `rows`."""

    def __init__(self, first: Split, second: Split) -> None:
        """Raises BadInput where their rows are not of the same tokens."""
        first.check_same_rows(second)
        self._parts = first, second
        self.n_rows, self.d_act = first.n_rows, first.d_act + second.d_act

    @property
    def dtype(self) -> torch.dtype:
        """A number format that holds both."""
        return torch.promote_types(*(part.dtype for part in self._parts))

    @property
    def document(self) -> NDArray[np.int32]:
        """Index of each row's document, [row]."""
        return self._parts[0].document

    def read(self, start: int, stop: int) -> Float[Tensor, "row d_act"]:
        """As `Split`."""
        rows = torch.empty(max(0, stop - start), self.d_act)
        self.read_into(rows, start, stop)
        return rows

    def read_into(self, rows: Tensor, start: int, stop: int) -> None:
        """As `Split`."""
        halves = rows.split([part.d_act for part in self._parts], dim=1)
        for part, half in zip(self._parts, halves, strict=True):
            part.read_into(half, start, stop)

    def rows(self, indices: Tensor) -> Float[Tensor, "row d_act"]:
        """As `Split`."""
        return torch.cat([part.rows(indices) for part in self._parts], dim=1)


@dataclass(frozen=True, eq=False)
class SiteVectors:
    """The files of a site: one, or two of a pair. What has `d_act` dimensions here is of both, side by side."""

    files: tuple[ActivationsFile, ...]

    @property
    def path(self) -> Path:
        """Of what is encoded."""
        return self.files[0].path

    @property
    def paths(self) -> tuple[Path, ...]:
        """Of all of it."""
        return tuple(file.path for file in self.files)

    @property
    def places(self) -> tuple[str, ...]:
        """What the files are of: the site, or the places of a pair."""
        return tuple(file.site for file in self.files)

    @property
    def cut(self) -> Cut:
        """Where rows are cut."""
        return Cut(self.d_in if len(self.files) > 1 else None)

    @property
    def d_in(self) -> int:
        """Dimensions of what is encoded."""
        return self.files[0].d_act

    @property
    def d_out(self) -> int:
        """Dimensions of what is put together."""
        return self.files[-1].d_act

    @property
    def mean(self) -> Float[Tensor, " d_act"]:
        """The mean of the training vectors."""
        return torch.cat([file.mean for file in self.files])

    @property
    def scale(self) -> float | Float[Tensor, " d_act"]:
        """The mean length of training vectors around their mean; of a pair, of each place, for each dimension."""
        return scale_of([file.mean_norm for file in self.files], [file.d_act for file in self.files])

    def split(self, name: SplitName) -> Split | SideBySide:
        """The split called `name`. Raises BadInput where there is none, or rows of a pair are of different tokens."""
        parts = [file.split(name) for file in self.files]
        return parts[0] if len(parts) == 1 else SideBySide(*parts)


def scale_of(lengths: list[float], widths: list[int]) -> float | Float[Tensor, " d_act"]:
    """One length of one place; of two, of each dimension that of its place."""
    if len(lengths) == 1:
        return lengths[0]
    return torch.cat([torch.full((width,), length) for length, width in zip(lengths, widths, strict=True)])


@contextmanager
def open_site(activations: Path, targets: Path | None = None) -> Iterator[SiteVectors]:
    """Open the vectors of a site; targets: of a pair, those that are put together.

    Raises BadInput as `open_activations`, and where two files are of different models or corpora.
    """
    with open_activations(activations) as first:
        if targets is None:
            yield SiteVectors((first,))
            return
        with open_activations(targets) as second:
            _check(first, second)
            yield SiteVectors((first, second))


def _check(first: ActivationsFile, second: ActivationsFile) -> None:
    for name in ("model", "corpus"):
        if getattr(first, name) != getattr(second, name):
            wanted = f"{name} {getattr(first, name)}, as in {first.path}"
            raise BadInput(second.path, f"{name} {getattr(second, name)}", wanted)

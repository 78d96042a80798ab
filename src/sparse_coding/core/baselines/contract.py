"""What a baseline is to those who fit it: a module named as in `methods`, with two functions.

`build(vectors, settings)` fits it: its dictionary, and what its file says of how it was made beside name and site.
`work(rows, d_act, settings)` says what that takes, for the forecast. settings: what its row in `methods` reads; and
`original`, where the code of Cunningham et al. 2023 is wanted and had it otherwise.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.portions.baselines import READ_ROWS

Settings = Mapping[str, Any]
Fitted = tuple[Dictionary, dict[str, Any]]


@runtime_checkable
class Rows(Protocol):
    """Vectors [row, d_act], more of them perhaps than memory holds."""

    n_rows: int

    def read(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`."""

    def rows(self, indices: Tensor) -> Tensor:
        """The rows of these indices [row]."""


@dataclass(frozen=True)
class Vectors:
    """The training vectors of a site, and their mean. cut: dimensions of the first place of a pair, which are side by
    side; None: there is one place."""

    train: Rows
    mean: Float[Tensor, " d_act"]
    cut: int | None = None

    @property
    def d_in(self) -> int:
        """Dimensions of what is encoded."""
        return self.d_act if self.cut is None else self.cut

    @property
    def d_act(self) -> int:
        """Their dimensions."""
        return len(self.mean)

    def blocks(self) -> Iterator[Float[Tensor, "_ d_act"]]:
        """All of them, in their order; one block is in memory at a time."""
        for start in range(0, self.train.n_rows, READ_ROWS):
            yield self.train.read(start, min(start + READ_ROWS, self.train.n_rows))

    def sample(self, wanted: int, seed: int) -> Int[Tensor, " row"]:
        """Indices of `wanted` of them, without replacement, ascending; of all where there are no more."""
        order = torch.randperm(self.train.n_rows, generator=torch.Generator().manual_seed(seed))
        return order[:wanted].sort().values

    def mixed_blocks(self, sample: Int[Tensor, " row"], rows: int, seed: int) -> Iterator[Float[Tensor, "_ d_act"]]:
        """Those of a sample in random order, in blocks of `rows` or somewhat more; one is in memory at a time."""
        order = torch.randperm(len(sample), generator=torch.Generator().manual_seed(seed))
        for part in sample[order].tensor_split(max(1, len(sample) // rows)):
            yield self.train.rows(part)


class Work(NamedTuple):
    """What a fit takes. Products and descents: rows of them, with a matrix [d_act, d_act]."""

    products: float = 0.0
    double_products: float = 0.0  # in float64
    decompositions: float = 0.0  # of a symmetric matrix [d_act, d_act]
    tanh: float = 0.0  # rows [d_act] that go through one
    descents: float = 0.0  # steps towards non-negative codes, of a row

"""The held-out vectors whose codes are counted for members with a wished L0: core.training.matching."""

from collections.abc import Mapping
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.training import feed
from sparse_coding.core.training.feed import Scale
from sparse_coding.core.training.matching import Matching
from sparse_coding.io.activations import SideBySide, SiteVectors, Split
from sparse_coding.methods import Strength


def matchings(
    wished: Mapping[str, tuple[float | None, int | None]],
    steers: Strength,
    vectors: SiteVectors,
    mean: Float[Tensor, " d_act"],
    scale: Scale,
) -> dict[str, Matching]:
    """For those by whose names there are a wished L0 and a number of vectors to count. Raises as `Split.read`.

    steers: what their kind differs in without a wish; mean, scale: how vectors are normalised.
    """
    read = cache(lambda n: feed.normalised(spaced(vectors.split("held_out"), n), mean, scale))
    return {name: Matching(l0, steers, read(rows)) for name, (l0, rows) in wished.items() if l0 and rows}


def spaced(split: Split | SideBySide, n: int) -> Float[Tensor, "row d_act"]:
    """`n` rows with equal gaps between them, in float32; all of a split that has fewer. Raises as `Split.read`.

    So every document that is long enough has its share.
    """
    n = min(n, split.n_rows)
    return split.rows(torch.arange(n) * split.n_rows // max(n, 1))

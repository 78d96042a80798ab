"""Some vectors of a split, from all over it."""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.io.activations.reader import Split


def spaced(split: Split, n: int) -> Float[Tensor, "row d_act"]:
    """`n` rows with equal gaps between them, in float32; all of a split that has fewer. Raises as `Split.read`.

    So every document that is long enough has its share.
    """
    n = min(n, split.n_rows)
    return split.rows(torch.arange(n) * split.n_rows // max(n, 1))

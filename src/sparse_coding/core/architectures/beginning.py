"""Where codes are cut before the first step, so that few of them are positive."""

from jaxtyping import Float
from torch import Tensor


def border(pre: Float[Tensor, "n ..."], density: float) -> Float[Tensor, "..."] | None:
    """What a share `density` of numbers is above, one of them at least: for each feature, or of all; None: all are."""
    others = len(pre) - max(round(density * len(pre)), 1)
    return pre.kthvalue(others, dim=0).values if others else None

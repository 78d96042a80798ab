"""Gradients that are no longer than a given norm, whatever a batch brings (Pascanu, Mikolov & Bengio 2013).

SAELens and dictionary_learning train with a norm of 1, of a loss that is summed over dimensions where ours is a mean.
"""

from collections.abc import Sequence

from torch import Tensor
from torch.nn.utils import get_total_norm


def clipped(slopes: Sequence[Tensor], norm: float) -> list[Tensor]:
    """The slopes of all parameters, scaled so that together they have this norm at most, as by `clip_grad_norm_`.

    It is computed where they are: nothing here waits for a GPU.
    """
    factor = (norm / (get_total_norm(slopes) + 1e-6)).clamp(max=1.0)
    return [slope * factor for slope in slopes]

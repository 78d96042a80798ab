"""Matching pursuit: codes one atom after another, each the one that is most like what is still left of a vector.

    r = x;  repeated: i = argmax_i <r, d_i>;  stop if <r, d_i> <= 0;  c_i += <r, d_i>;  r -= <r, d_i> d_i

Mallat & Zhang 1993 ("Matching pursuits with time-frequency dictionaries"), with inner products of the right sign alone,
as codes are never negative. An atom may be taken again, and its codes add up. With unit atoms a step takes <r, d_i>^2
from ||r||^2, so that what is left never grows.
"""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_coding.core.products import is_plain, linear
from sparse_coding.kernels.pursuit import pursue


def matching_pursuit(
    x: Float[Tensor, "row d_act"],
    atoms: Float[Tensor, "n_feat d_act"],
    steps: Int[Tensor, " row"],
    gram: Float[Tensor, "n_feat n_feat"] | None = None,
) -> Float[Tensor, "row n_feat"]:
    """The codes of `x` after so many steps, of each row its own number, over `atoms`, unit rows; around no centre.

    gram: atoms @ atoms.T, where it is at hand.
    At least in float32: what is left is found by differences, for which shorter formats have too few digits.
    """
    if torch.finfo(x.dtype).bits < 32:
        return matching_pursuit(x.float(), atoms.float(), steps).to(x.dtype)
    scores, gram = linear(x, atoms), atoms @ atoms.T if gram is None else gram
    if is_plain(x) and is_plain(atoms):
        codes = np.zeros(scores.shape, np.float32)
        pursue(scores.contiguous().numpy(), gram.numpy(), steps.numpy(), codes)
        return torch.from_numpy(codes)
    return _pursued(scores, gram, steps)


def _pursued(
    scores: Float[Tensor, "row n_feat"], gram: Float[Tensor, "n_feat n_feat"], steps: Int[Tensor, " row"]
) -> Float[Tensor, "row n_feat"]:
    """The same on any device and in any format, all rows a step at a time."""
    codes = torch.zeros_like(scores)
    if not codes.numel():
        return codes
    for step in range(int(steps.max())):
        found, chosen = scores.max(dim=1, keepdim=True)
        found = (found.clamp(min=0) * (steps > step)[:, None]).to(scores.dtype)
        codes = codes.scatter_add(1, chosen, found)
        scores = scores - found * gram[chosen[:, 0]]
    return codes

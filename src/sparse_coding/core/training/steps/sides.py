"""What goes into a step and what its codes are to put together: one vector twice, or those of two places.

Of one member, or of several with a leading dimension of members. See architectures.contract.Form for the formula.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Form, Parameters
from sparse_coding.core.cut import Cut
from sparse_coding.core.products import linear
from sparse_coding.core.training.optimisers.contract import Optimiser, Rates


def of(
    form: Form, parameters: Parameters, z: Float[Tensor, "*member batch d_act"]
) -> tuple[Float[Tensor, "*member batch d_in"], Float[Tensor, "*member batch d_out"]]:
    """What is encoded, and what codes @ decoder is to be: without centre, offset and what the skip puts there."""
    cut = Cut(form.d_in)
    x, wanted = cut.source(z), cut.target(z)
    if form.centre:
        x = wanted = x - parameters[form.centre].unsqueeze(-2)
    if form.offset:
        wanted = wanted - parameters[form.offset].unsqueeze(-2)
    if form.skip:
        wanted = wanted - product(x, parameters[form.skip])
    return x, wanted


def move(
    form: Form,
    optimiser: Optimiser,
    x: Float[Tensor, "*member batch d_in"],
    d_y_hat: Float[Tensor, "*member batch d_out"],
    rates: Rates,
) -> None:
    """One step of offset and skip; d_y_hat: d loss / d of all that is put together."""
    if form.offset:
        optimiser.move(form.offset, d_y_hat.sum(-2), rates)
    if form.skip:
        optimiser.move(form.skip, product(x.mT, d_y_hat), rates)


def product(left: Float[Tensor, "*member n m"], right: Float[Tensor, "*member m d"]) -> Float[Tensor, "*member n d"]:
    """left @ right for each member, in the precision of `left`: autocast gives bfloat16, with the digits it has."""
    return linear(left, right.mT) if left.ndim == 2 else torch.bmm(left, right).to(left.dtype)

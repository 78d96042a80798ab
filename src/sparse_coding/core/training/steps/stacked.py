"""The step for a stack of members at once, in plain torch: one batched product a phase, for a GPU.

Tensors are those of steps.dense with a leading dimension of members; the formulas are the same.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_coding.core.architectures.contract import Form, State
from sparse_coding.core.training.optimisers.contract import Optimiser, Rates
from sparse_coding.core.training.resampling import QUIET, hear
from sparse_coding.core.training.steps.seen import Seen


@dataclass(frozen=True, eq=False)
class Penalties:
    """The penalty of each member: L1 weights, wished L0, codes kept, and the most that any of them keeps."""

    l1: Float[Tensor, " member"]
    l0: Float[Tensor, " member"]
    k: Int[Tensor, " member"]
    most: int


def step(
    form: Form,
    optimiser: Optimiser,
    state: State,
    z: Float[Tensor, "batch d_act"],
    penalties: Penalties,
    warm: Float[Tensor, ""],
    rates: Rates,
) -> list[Tensor]:
    """Move all members of `optimiser` by one step on the batch `z`; what each saw, see `seen`.

    warm: how far penalties are warmed up. Nothing here waits for a GPU: what changes from step to step are tensors.
    """
    parameters = optimiser.parameters
    encoder, decoder, bias = parameters[form.encoder], parameters[form.decoder], parameters[form.bias]
    x = z.expand(len(bias), -1, -1)
    if form.centre:
        x = x - parameters[form.centre].unsqueeze(1)
    pre = _product(x, encoder.mT).add_(bias.unsqueeze(1))
    codes = _codes(form, optimiser, pre, penalties)
    residual = _product(codes, decoder) - x
    l0 = codes.sign().sum((1, 2)) / len(z)
    saw = [residual.square().mean((1, 2)), codes.sum((1, 2)) / len(z), l0]
    d_x_hat = residual * (2 / z.numel())
    d_pre = _product(d_x_hat, decoder.mT)
    if form.threshold:
        d_count = form.slope_of_count(penalties.l0, l0, z.shape, warm)
        slopes = _threshold_slopes(form, parameters[form.threshold].exp(), pre, d_pre, d_count)
        optimiser.move(form.threshold, slopes, rates)
    elif not form.keeps_largest:
        d_pre = d_pre + (penalties.l1 * (warm / len(z)))[:, None, None]
    d_pre = torch.ops.aten.threshold_backward(d_pre, codes, 0)
    d_bias = d_pre.sum(1)
    if form.centre:
        d_centre = d_x_hat.sum(1) - _product(d_bias.unsqueeze(1), encoder).squeeze(1)
        optimiser.move(form.centre, d_centre, rates)
    optimiser.move(form.bias, d_bias, rates)
    d_encoder, d_decoder = _product(d_pre.mT, x), _product(codes.mT, d_x_hat)
    if form.tied:
        d_decoder = d_decoder + d_encoder
    else:
        optimiser.move(form.encoder, d_encoder, rates)
    along = (d_decoder * decoder).sum(2, keepdim=True)
    _move_decoder(form, optimiser, state, torch.addcmul(d_decoder, along, decoder, value=-1), rates)
    if QUIET in state:
        hear(state, (codes > 0).any(1))
    return saw


def _codes(form: Form, optimiser: Optimiser, pre: Tensor, penalties: Penalties) -> Tensor:
    """Pre-activations become codes, in place where these are all that is needed."""
    if form.threshold:
        return pre * (pre > optimiser.parameters[form.threshold].exp().unsqueeze(1))
    codes = pre.relu_()
    return keep_largest(codes, penalties) if form.keeps_largest else codes


def _threshold_slopes(form: Form, theta: Tensor, pre: Tensor, d_codes: Tensor, d_count: Tensor) -> Tensor:
    """The slopes of log theta, [member, n_feat]: those of steps.windows."""
    inside = ((pre - theta.unsqueeze(1)).abs_() < form.bandwidth / 2).to(pre.dtype)
    sums = theta * (inside * d_codes).sum(1) + d_count.unsqueeze(1) * inside.sum(1)
    return sums * theta / -form.bandwidth


def _move_decoder(form: Form, optimiser: Optimiser, state: State, slopes: Tensor, rates: Rates) -> None:
    decoder = optimiser.parameters[form.decoder]
    if form.lengths:
        lengths = state[form.lengths].unsqueeze(2)
        slopes.div_(lengths)
        decoder.mul_(lengths)
    optimiser.move(form.decoder, slopes, rates)
    norms = decoder.norm(dim=2, keepdim=True)
    decoder.div_(norms)
    if form.lengths:
        lengths.copy_(norms)


def _product(left: Tensor, right: Tensor) -> Tensor:
    """left @ right for each member, in the precision of `left`: autocast gives bfloat16, with the digits it has."""
    return torch.bmm(left, right).to(left.dtype)


def seen(saw: list[Tensor]) -> list[Seen]:
    """What each member saw, as numbers."""
    return [Seen(*numbers) for numbers in torch.stack(saw, dim=1).tolist()]


def keep_largest(
    codes: Float[Tensor, "member batch n_feat"], penalties: Penalties
) -> Float[Tensor, "member batch n_feat"]:
    """The k largest codes of each row, of each member's own k; zero elsewhere."""
    most = min(penalties.most, codes.shape[2])
    values, indices = codes.topk(most, dim=2)
    values = values * (torch.arange(most, device=codes.device) < penalties.k[:, None, None])
    return torch.zeros_like(codes).scatter_(2, indices, values)

"""The step for a stack of members at once, in plain torch: one batched product a phase, for a GPU.

Tensors are those of steps.dense with a leading dimension of members; the formulas are the same.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_coding.core.architectures import running
from sparse_coding.core.architectures.contract import Form, Revival, State
from sparse_coding.core.training.optimisers.contract import Optimiser, Rates
from sparse_coding.core.training.resampling import QUIET, hear
from sparse_coding.core.training.steps import sides
from sparse_coding.core.training.steps.seen import Seen
from sparse_coding.core.training.steps.sides import product


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
    x, wanted = sides.of(form, parameters, z.expand(len(bias), -1, -1))
    pre = product(x, encoder.mT).add_(bias.unsqueeze(1))
    codes = _codes(form, optimiser, pre, penalties)
    groups = form.groups(decoder.shape[1])
    residuals = _residuals(codes, decoder, wanted, groups)
    l0, errors = codes.sign().sum((1, 2)) / len(z), [each.square().mean((1, 2)) for each in residuals]
    d_x_hats = _slopes_of_outputs(residuals, wanted[0].numel())
    d_pre = _by_group([product(d_x_hat, decoder[:, own].mT) for own, d_x_hat in zip(groups, d_x_hats, strict=True)], 2)
    if form.threshold:
        d_count = form.slope_of_count(penalties.l0, l0, wanted.shape[1:], warm)
        slopes = _threshold_slopes(form, parameters[form.threshold].exp(), pre, d_pre, d_count)
        optimiser.move(form.threshold, slopes, rates)
    elif not form.keeps_largest:
        d_pre = d_pre + (penalties.l1 * (warm / len(z)))[:, None, None]
    d_pre = torch.ops.aten.threshold_backward(d_pre, codes, 0)
    turned = [product(codes[..., own].mT, d_x_hat) for own, d_x_hat in zip(groups, d_x_hats, strict=True)]
    d_decoder, loss = _by_group(turned, 1), torch.stack(errors).mean(0)
    if form.revival:
        added = _revived(form.revival, state["silent"], pre, residuals[-1], decoder)
        d_pre, d_decoder, loss = (one + other for one, other in zip((d_pre, d_decoder, loss), added, strict=True))
    saw = [errors[-1], codes.sum((1, 2)) / len(z), l0, *([loss] if form.prefixes or form.revival else [])]
    d_bias = d_pre.sum(1)
    if form.centre:
        d_centre = d_x_hats[0].sum(1) - product(d_bias.unsqueeze(1), encoder).squeeze(1)
        optimiser.move(form.centre, d_centre, rates)
    sides.move(form, optimiser, x, d_x_hats[0], rates)
    optimiser.move(form.bias, d_bias, rates)
    d_encoder = product(d_pre.mT, x)
    if form.tied:
        d_decoder = d_decoder + d_encoder
    else:
        optimiser.move(form.encoder, d_encoder, rates)
    along = (d_decoder * decoder).sum(2, keepdim=True)
    _move_decoder(form, optimiser, state, torch.addcmul(d_decoder, along, decoder, value=-1), rates)
    running.after(form, state, codes)
    if QUIET in state:
        hear(state, (codes > 0).any(1))
    return saw


def _codes(form: Form, optimiser: Optimiser, pre: Tensor, penalties: Penalties) -> Tensor:
    """Pre-activations become codes, in place where these are all that is needed."""
    if form.threshold:
        return pre * (pre > optimiser.parameters[form.threshold].exp().unsqueeze(1))
    codes = pre.relu_()
    if form.of_batch:
        of_all = replace(penalties, k=penalties.k * pre.shape[1], most=penalties.most * pre.shape[1])
        return keep_largest(codes.flatten(1).unsqueeze(1), of_all).view_as(codes)
    return keep_largest(codes, penalties) if form.keeps_largest else codes


def _residuals(codes: Tensor, decoder: Tensor, wanted: Tensor, groups: list[slice]) -> list[Tensor]:
    """What each prefix of the features puts wrong."""
    residuals = [product(codes[..., groups[0]], decoder[:, groups[0]]) - wanted]
    for own in groups[1:]:
        residuals.append(residuals[-1] + product(codes[..., own], decoder[:, own]))
    return residuals


def _slopes_of_outputs(residuals: list[Tensor], n: int) -> list[Tensor]:
    """d loss / d x_hat for the features of each prefix that are in no shorter one: of it and of all longer ones."""
    slopes = [each * (2 / n / len(residuals)) for each in residuals]
    for longer, shorter in pairwise(reversed(slopes)):
        shorter.add_(longer)
    return slopes


def _by_group(parts: list[Tensor], dim: int) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)


def _revived(revival: Revival, silent: Tensor, m: Tensor, wrong: Tensor, decoder: Tensor) -> tuple[Tensor, ...]:
    """What the auxiliary loss adds to the slopes of pre-activations and of the decoder, and to the loss: to each member
    with dead features. All are computed for all members: whether there are any is not asked, for nothing waits."""
    dead = silent >= revival.dead_after
    values, places = (m * dead.unsqueeze(1)).topk(min(revival.most(wrong.shape[2]), m.shape[2]), dim=2)
    codes = torch.zeros_like(m).scatter_(2, places, values)
    wrong = wrong + product(codes, decoder)
    d_wrong = wrong * (2 * revival.weight / wrong[0].numel())
    d_pre = torch.ops.aten.threshold_backward(product(d_wrong, decoder.mT), codes, 0)
    return d_pre, product(codes.mT, d_wrong), revival.weight * wrong.square().mean((1, 2)) * dead.any(1)


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

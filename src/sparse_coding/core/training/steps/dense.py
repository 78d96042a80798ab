"""The step in plain torch, with gradients derived by hand. See architectures.contract.Form for the formula.

Features are handled in blocks: a block's gradient is used and forgotten, so no matrix but the codes is as large as
the batch times the features, and the block's numbers stay in the cache.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures import running
from sparse_coding.core.architectures.contract import Form, Parameters, Penalty, State
from sparse_coding.core.products import linear
from sparse_coding.core.training.optimisers.contract import Optimiser, Rates
from sparse_coding.core.training.resampling import QUIET, hear
from sparse_coding.core.training.steps import revived, sides
from sparse_coding.core.training.steps.seen import Seen
from sparse_coding.core.training.steps.windows import Windows

BLOCK = 256  # features


def step(
    form: Form, optimiser: Optimiser, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty, lr: float
) -> Seen:
    """Move the parameters of `optimiser`, and the lengths in `state`, by one step on the batch `z`."""
    parameters, rates = optimiser.parameters, optimiser.begin(lr)
    x, wanted = (each.contiguous() for each in sides.of(form, parameters, z))
    pre = linear(x, parameters[form.encoder], parameters[form.bias])
    codes = _codes(form, parameters, pre, penalty)
    d_x_hats, errors = _nested(form, codes, parameters[form.decoder], wanted)
    mse, l1_norm, positive = errors[-1], float(codes.sum()) / len(z), 0.0
    dead = revived.of(form, parameters, state, x, d_x_hats[-1], len(d_x_hats))
    l1 = 0.0 if form.keeps_largest or form.threshold else penalty.l1 / len(z)
    windows = Windows(form, parameters, pre, penalty, codes) if form.threshold else None
    # The centre enters twice: added to the output, subtracted from the input.
    d_centre = d_x_hats[0].sum(0)
    d_bias = torch.empty_like(parameters[form.bias])
    for rows, d_x_hat in _blocks(form, codes.shape[1], d_x_hats):
        some_codes = codes[:, rows].contiguous()
        d_pre = linear(d_x_hat, parameters[form.decoder][rows]).add_(l1)
        if windows:
            windows.look(rows, d_pre)
        d_pre = torch.ops.aten.threshold_backward(d_pre, some_codes, 0)  # many times faster than a mask
        d_bias[rows] = d_pre.sum(0)
        if dead:
            dead.add_bias(d_bias, rows)
        if form.centre:
            d_centre.addmv_(parameters[form.encoder][rows].T, d_bias[rows], alpha=-1)
        positive += float(some_codes.sign().sum())
        _move_rows(form, optimiser, state, rows, x, d_pre, some_codes, d_x_hat, rates, dead)
    optimiser.move(form.bias, d_bias, rates)
    if form.centre:
        optimiser.move(form.centre, d_centre, rates)
    sides.move(form, optimiser, x, d_x_hats[0], rates)
    if windows and form.threshold:
        optimiser.move(form.threshold, windows.slopes, rates)
    running.after(form, state, codes)
    if QUIET in state:
        hear(state, (codes > 0).any(0))
    near, loss = windows.count / len(z) if windows else 0.0, revived.loss(errors, dead)
    return Seen(mse, l1_norm, positive / len(z), loss if form.prefixes or dead else None, near)


def _nested(form: Form, codes: Tensor, decoder: Tensor, wanted: Tensor) -> tuple[list[Tensor], list[float]]:
    """d loss / d x_hat for the features of each prefix that are in no shorter one; the squared errors of prefixes."""
    residuals: list[Tensor] = []
    for group in form.groups(len(decoder)):
        put_together = linear(codes[:, group], decoder[group].T)
        residuals.append(put_together.add_(residuals[-1]) if residuals else put_together.sub_(wanted))
    errors = [float(each.square().mean()) for each in residuals]
    for each in residuals:
        each.mul_(2 / wanted.numel() / len(residuals))
    for longer, shorter in pairwise(reversed(residuals)):  # a feature is in its own prefix, and in all longer ones
        shorter.add_(longer)
    return residuals, errors


def _blocks(form: Form, n_feat: int, d_x_hats: list[Tensor]) -> Iterator[tuple[slice, Tensor]]:
    """BLOCK features at a time, and the d loss / d x_hat that is theirs."""
    for group, d_x_hat in zip(form.groups(n_feat), d_x_hats, strict=True):
        for first in range(group.start, group.stop, BLOCK):
            yield slice(first, min(first + BLOCK, group.stop)), d_x_hat


def _codes(form: Form, parameters: Parameters, pre: Tensor, penalty: Penalty) -> Tensor:
    """Pre-activations become codes, in place where these are all that is needed."""
    if form.threshold:
        return pre * (pre > parameters[form.threshold].exp())
    codes = pre.relu_()
    return form.kept(codes, penalty.k) if form.keeps_largest else codes


def _move_rows(
    form: Form,
    optimiser: Optimiser,
    state: State,
    rows: slice,
    x: Tensor,
    d_pre: Tensor,
    codes: Tensor,
    d_x_hat: Tensor,
    rates: Rates,
    dead: revived.Revived | None = None,
) -> None:
    """Encoder and decoder of some features; two paths lead to tied atoms."""
    d_encoder, d_decoder = linear(d_pre.T, x.T), linear(codes.T, d_x_hat.T)
    if dead:
        dead.add_rows(d_encoder, d_decoder, rows)
    if form.tied:
        d_decoder += d_encoder
    else:
        optimiser.move(form.encoder, d_encoder, rates, rows)
    atoms = optimiser.parameters[form.decoder][rows]
    slopes = tangent(d_decoder, atoms)
    if form.lengths:
        lengths = state[form.lengths][rows].unsqueeze(1)
        slopes.div_(lengths)
        atoms.mul_(lengths)
    optimiser.move(form.decoder, slopes, rates, rows)
    norms = make_unit(atoms)
    if form.lengths:
        lengths.copy_(norms)


def make_unit(atoms: Float[Tensor, "n d_act"]) -> Float[Tensor, "n 1"]:
    """Scale each atom to unit norm, in place; the norms before."""
    norms = atoms.norm(dim=1, keepdim=True)
    atoms.div_(norms)
    return norms


def tangent(gradient: Float[Tensor, "n d_act"], atoms: Float[Tensor, "n d_act"]) -> Float[Tensor, "n d_act"]:
    """`gradient` without its part along each unit atom, in place: the gradient through d / ||d||."""
    along = (gradient * atoms).sum(dim=1, keepdim=True)
    return gradient.addcmul_(along, atoms, value=-1)

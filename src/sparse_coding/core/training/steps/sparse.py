"""The step by loops over the positive codes: find them, pass over the rows, pass over the features.

The gradients are those of steps.dense, without the entries that are zero.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures import running
from sparse_coding.core.architectures.contract import Form, Penalty, State
from sparse_coding.core.finder import Screen
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.optimisers.contract import Rates
from sparse_coding.core.training.resampling import QUIET, hear
from sparse_coding.core.training.steps import revived, sides
from sparse_coding.core.training.steps.seen import Seen
from sparse_coding.core.training.steps.workspace import Workspace
from sparse_coding.kernels import bounds, columns, pattern, rows, thresholds

LARGEST = float(np.finfo(np.float32).max)
UNIT = np.empty(0, np.float32)  # no lengths: all are 1
NO_ROWS = np.empty((0, 0), np.float32)
NONE_BEGUN = columns.Begun(np.empty(0, np.int32), NO_ROWS, UNIT, NO_ROWS)


def step(
    form: Form,
    adam: Adam,
    state: State,
    z: Float[Tensor, "batch d_act"],
    penalty: Penalty,
    lr: float,
    space: Workspace,
    screened: Screen,
) -> Seen | None:
    """As dense.step; None, and nothing moved, where more codes are positive than `space` has room for.

    Parameters and `z` are float32 on the processor, contiguous.
    """
    parameters = {name: parameter.numpy() for name, parameter in adam.parameters.items()}
    x, wanted = (each.contiguous().numpy() for each in sides.of(form, adam.parameters, z))
    k = penalty.k if form.keeps_largest else None
    borders = _borders(form, adam)
    weights = parameters[form.encoder], parameters[form.bias]
    given = space.finder.find(x, *weights, k, screened, borders, form.of_batch)
    if given is None:
        return None
    if not bounds.are_finite(given):
        return Seen(np.nan, np.nan, np.nan)
    by_row, (by_feature, near) = space.finder.rows, space.columns_over(given.scores)
    ends = np.array([group.stop for group in form.groups(len(given.bias))])
    d_x_hats = space.d_x_hats(len(ends))
    errors, codes = _residuals(by_row, ends, wanted, parameters[form.decoder], d_x_hats)
    dead = revived.of(form, adam.parameters, state, torch.from_numpy(x), torch.from_numpy(d_x_hats[-1]), len(ends))
    loss = revived.loss(errors, dead) if form.prefixes or dead else None
    seen = Seen(errors[-1], codes / len(x), int(by_row.starts[-1]) / len(x), loss)
    pattern.transpose(by_row, by_feature)
    l1 = 0.0 if form.keeps_largest or form.threshold else min(penalty.l1 / len(x), LARGEST)
    batch = columns.Batch(x, space.d_x_hat, np.float32(l1), space.slopes, space.d_encoder, space.d_decoder)
    begun = adam.begin(lr)
    if borders is not None:
        pattern.transpose(space.finder.windows, near)
        _move_thresholds(
            form, adam, begun, near, batch, form.slope_of_count(penalty.l0, seen.l0, wanted.shape, penalty.warm)
        )
        seen = replace(seen, near=int(near.starts[-1]) / len(x))
    _move(form, adam, state, begun, by_feature, batch, d_x_hats, dead)
    _go_on(form, state, by_row, by_feature, len(x))
    if QUIET in state:
        hear(state, torch.from_numpy(np.diff(by_feature.starts) > 0))
    return seen


def _residuals(
    by_row: pattern.Pattern, ends: np.ndarray, wanted: np.ndarray, decoder: np.ndarray, d_x_hats: np.ndarray
) -> tuple[list[float], float]:
    """Fill d_x_hats; give the mean squared errors of all prefixes, and the sum of codes."""
    if len(ends) == 1:
        squares, codes = rows.residuals(by_row, wanted, decoder, d_x_hats[0])
        return [squares / wanted.size], codes
    sums = np.empty(len(ends))
    codes = rows.nested_residuals(by_row, ends, wanted, decoder, d_x_hats, sums)
    return (sums / wanted.size).tolist(), codes


def _go_on(form: Form, state: State, by_row: pattern.Pattern, by_feature: pattern.Pattern, n_rows: int) -> None:
    """What is known beside the parameters."""
    if form.revival:
        running.count_silence(state, torch.from_numpy(np.diff(by_feature.starts) > 0), n_rows)
    if form.of_batch:
        smallest = by_row.codes[: by_row.starts[-1]].min(initial=np.inf)
        running.follow_smallest(state, torch.tensor([smallest]), form.threshold_rate)


def _borders(form: Form, adam: Adam) -> thresholds.Borders | None:
    if form.threshold is None:
        return None
    return thresholds.Borders(adam.parameters[form.threshold].exp().numpy(), np.float32(form.bandwidth / 2))


def _move_thresholds(
    form: Form, adam: Adam, begun: Rates, near: pattern.Pattern, batch: columns.Batch, d_count: float
) -> None:
    """While the atoms are where they were; d_count: d loss / d ||c_b||_0."""
    assert form.threshold
    atoms, logs = adam.parameters[form.decoder].numpy(), _weights(adam, form.threshold)
    numbers = np.float32(form.bandwidth), np.float32(d_count)
    thresholds.update_thresholds(near, *numbers, batch.d_x_hat, atoms, batch.slopes, logs, _rates(adam, begun))


def _move(
    form: Form,
    adam: Adam,
    state: State,
    begun: Rates,
    by_feature: pattern.Pattern,
    batch: columns.Batch,
    d_x_hats: np.ndarray,
    dead: revived.Revived | None,
) -> None:
    """One step of Adam for all other parameters, from the codes by feature and the gradients of the output."""
    rates = _rates(adam, begun)
    bias = _weights(adam, form.bias)
    lengths = state[form.lengths].numpy() if form.lengths else UNIT
    decoder = columns.Atoms(_weights(adam, form.decoder), lengths)
    if form.tied:
        columns.update_tied(by_feature, batch, decoder, bias, rates)
        return
    d_centre = d_x_hats[0].sum(0) if form.d_in is None else np.zeros_like(batch.x[0])  # of a pair nobody reads it
    encoder, beside = _weights(adam, form.encoder), _begun(dead, len(bias.values))
    for group, d_x_hat in zip(form.groups(len(bias.values)), d_x_hats, strict=True):
        own = by_feature._replace(starts=by_feature.starts[group.start : group.stop + 1])
        some = columns.Atoms(_rows(decoder.weights, group), lengths[group])
        columns.update_untied(
            own,
            batch._replace(d_x_hat=d_x_hat),
            _rows(encoder, group),
            _rows(bias, group),
            some,
            d_centre,
            rates,
            beside._replace(place=beside.place[group]),
        )
    if form.centre:
        adam.move(form.centre, torch.from_numpy(d_centre), begun)
    sides.move(form, adam, torch.from_numpy(batch.x), torch.from_numpy(d_x_hats[0]), begun)


def _rows(weights: columns.Weights, group: slice) -> columns.Weights:
    return columns.Weights(*(each[group] for each in weights))


def _begun(dead: revived.Revived | None, n_feat: int) -> columns.Begun:
    if dead is None:
        return NONE_BEGUN
    place = np.full(n_feat, -1, np.int32)
    place[dead.features.numpy()] = np.arange(len(dead.features))
    return columns.Begun(place, dead.d_encoder.numpy(), dead.d_bias.numpy(), dead.d_decoder.numpy())


def _rates(adam: Adam, begun: Rates) -> columns.AdamNumbers:
    numbers = (adam.beta1, adam.beta2, adam.eps, *begun)
    return columns.AdamNumbers(*(np.float32(number) for number in numbers))


def _weights(adam: Adam, name: str) -> columns.Weights:
    return columns.Weights(adam.parameters[name].numpy(), adam.first[name].numpy(), adam.second[name].numpy())

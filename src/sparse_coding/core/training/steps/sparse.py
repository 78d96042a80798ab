"""The step by loops over the positive codes: find them, pass over the rows, pass over the features.

The gradients are those of steps.dense, without the entries that are zero.
"""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Form, Penalty, State
from sparse_coding.core.finder import Screen
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.optimisers.contract import Rates
from sparse_coding.core.training.resampling import QUIET, hear
from sparse_coding.core.training.steps.seen import Seen
from sparse_coding.core.training.steps.workspace import Workspace
from sparse_coding.kernels import bounds, columns, pattern, rows, thresholds

LARGEST = float(np.finfo(np.float32).max)
UNIT = np.empty(0, np.float32)  # no lengths: all are 1


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
    x = (z - adam.parameters[form.centre] if form.centre else z).numpy()
    k = penalty.k if form.keeps_largest else None
    borders = _borders(form, adam)
    given = space.finder.find(x, parameters[form.encoder], parameters[form.bias], k, screened, borders)
    if given is None:
        return None
    if not bounds.are_finite(given):
        return Seen(np.nan, np.nan, np.nan)
    by_row, (by_feature, near) = space.finder.rows, space.columns_over(given.scores)
    squares, codes = rows.residuals(by_row, x, parameters[form.decoder], space.d_x_hat)
    seen = Seen(squares / x.size, codes / len(x), int(by_row.starts[-1]) / len(x))
    pattern.transpose(by_row, by_feature)
    l1 = 0.0 if form.keeps_largest or form.threshold else min(penalty.l1 / len(x), LARGEST)
    batch = columns.Batch(x, space.d_x_hat, np.float32(l1), space.slopes, space.gradients)
    begun = adam.begin(lr)
    if borders is not None:
        pattern.transpose(space.finder.windows, near)
        _move_thresholds(
            form, adam, begun, near, batch, form.slope_of_count(penalty.l0, seen.l0, x.shape, penalty.warm)
        )
        seen = replace(seen, near=int(near.starts[-1]) / len(x))
    if QUIET in state:
        hear(state, torch.from_numpy(np.diff(by_feature.starts) > 0))
    _move(form, adam, state, begun, by_feature, batch)
    return seen


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
    form: Form, adam: Adam, state: State, begun: Rates, by_feature: pattern.Pattern, batch: columns.Batch
) -> None:
    """One step of Adam for all other parameters, from the codes by feature and the gradient of the output."""
    rates = _rates(adam, begun)
    bias = _weights(adam, form.bias)
    lengths = state[form.lengths].numpy() if form.lengths else UNIT
    decoder = columns.Atoms(_weights(adam, form.decoder), lengths)
    if form.tied:
        columns.update_tied(by_feature, batch, decoder, bias, rates)
        return
    d_centre = batch.d_x_hat.sum(0)
    columns.update_untied(by_feature, batch, _weights(adam, form.encoder), bias, decoder, d_centre, rates)
    if form.centre:
        adam.move(form.centre, torch.from_numpy(d_centre), begun)


def _rates(adam: Adam, begun: Rates) -> columns.AdamNumbers:
    numbers = (adam.beta1, adam.beta2, adam.eps, *begun)
    return columns.AdamNumbers(*(np.float32(number) for number in numbers))


def _weights(adam: Adam, name: str) -> columns.Weights:
    return columns.Weights(adam.parameters[name].numpy(), adam.first[name].numpy(), adam.second[name].numpy())

"""The step by loops over the positive codes: find them, pass over the rows, pass over the features.

The gradients are those of steps.dense, without the entries that are zero.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.adam import Adam
from sparse_coding.core.architectures.contract import Form, Penalty
from sparse_coding.core.products import int8_is_fast, linear
from sparse_coding.core.steps.seen import Seen
from sparse_coding.core.steps.workspace import Workspace
from sparse_coding.kernels import bounds, columns, pattern, rows, screen

# A feature that the screen lets pass in vain costs an exact product. With int8, float32's dearer screen is saved: it
# pays as long as no more than this share of all features passes in vain (measured; it moves no result).
WORTH_INT8 = 0.15
STEPS_WITHOUT_INT8 = 64
LARGEST = float(np.finfo(np.float32).max)


@dataclass
class Screen:
    """Which product a member is screened with; int8 rests for a while where it lets too many features pass."""

    int8: bool
    rests: int = 0

    @classmethod
    def fastest(cls) -> "Screen":
        """int8 where the processor is fast at it."""
        return cls(int8_is_fast())

    def use_int8(self) -> bool:
        """Whether the next step uses int8."""
        self.rests = max(self.rests - 1, 0)
        return self.int8 and not self.rests

    def learn(self, in_vain: float) -> None:
        """Hear which share of the features passed an int8 screen in vain."""
        if in_vain > WORTH_INT8:
            self.rests = STEPS_WITHOUT_INT8


def step(
    form: Form,
    adam: Adam,
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
    use_int8 = screened.use_int8() and x.shape[1] > 1  # torch's product of int8 columns is wrong
    scores = _scores(x, parameters[form.encoder], space, use_int8)
    if not _are_finite(parameters[form.bias], space):
        return Seen(np.nan, np.nan, np.nan)
    computed = _find_codes(form, parameters, x, scores, penalty, space)
    found = computed != screen.TOO_MANY  # as int8 lets pass the more, the denser codes are, it rests then too
    if use_int8:
        screened.learn((computed - int(space.rows.starts[-1])) / scores.size if found else 1.0)
    if not found:
        return None
    l1 = np.float32(0 if form.keeps_largest else min(penalty.l1, LARGEST))
    squares, codes = rows.residuals(space.rows, x, parameters[form.decoder], l1, space.d_x_hat)
    seen = Seen(squares / x.size, codes / len(x), int(space.rows.starts[-1]) / len(x))
    by_feature = space.columns_over(scores)
    pattern.transpose(space.rows, by_feature)
    _move(form, adam, x, lr, by_feature, space)
    return seen


def _find_codes(
    form: Form, parameters: dict[str, np.ndarray], x: np.ndarray, scores: np.ndarray, penalty: Penalty, space: Workspace
) -> int:
    """Fill space.rows; the number of exact products that it took, or screen.TOO_MANY."""
    encoder, bias = parameters[form.encoder], parameters[form.bias]
    given = (scores, x, space.rounded_x, encoder, space.rounded_encoder, bias)
    if form.keeps_largest:
        return screen.largest(*given, min(penalty.k, len(bias)), space.room, space.rows)
    return screen.positive(*given, space.room, space.rows)


def _scores(x: np.ndarray, encoder: np.ndarray, space: Workspace, use_int8: bool) -> np.ndarray:
    """The cheap products of x and encoder, [row, n_feat], int32 or float32; space.rounded_* say how cheap."""
    if not use_int8:
        bounds.leave_unrounded(x, space.rounded_x)
        bounds.leave_unrounded(encoder, space.rounded_encoder)
        return linear(torch.from_numpy(x), torch.from_numpy(encoder)).numpy()
    bounds.round_to_int8(x, space.rounded_x)
    bounds.round_to_int8(encoder, space.rounded_encoder)
    whole_x, whole_encoder = (torch.from_numpy(each.whole) for each in (space.rounded_x, space.rounded_encoder))
    return torch._int_mm(whole_x, whole_encoder.T).numpy()


def _are_finite(bias: np.ndarray, space: Workspace) -> bool:
    vectors = bounds.are_finite(space.rounded_x) and bounds.are_finite(space.rounded_encoder)
    return vectors and bool(np.isfinite(bias).all())


def _move(form: Form, adam: Adam, x: np.ndarray, lr: float, by_feature: pattern.Pattern, space: Workspace) -> None:
    """One step of Adam for all parameters, from the patterns of codes and slopes."""
    begun = adam.begin(lr)
    numbers = (adam.beta1, adam.beta2, adam.eps, begun.size, begun.correction)
    rates = columns.AdamNumbers(*(np.float32(number) for number in numbers))
    bias, decoder = _weights(adam, form.bias), _weights(adam, form.decoder)
    if form.tied:
        columns.update_tied(by_feature, x, space.d_x_hat, decoder, bias, rates, space.gradient)
        return
    d_centre = space.d_x_hat.sum(0)
    encoder = _weights(adam, form.encoder)
    columns.update_untied(by_feature, x, space.d_x_hat, encoder, bias, decoder, d_centre, rates, space.gradient)
    if form.centre:
        adam.move(form.centre, torch.from_numpy(d_centre), begun)


def _weights(adam: Adam, name: str) -> columns.Weights:
    return columns.Weights(adam.parameters[name].numpy(), adam.first[name].numpy(), adam.second[name].numpy())

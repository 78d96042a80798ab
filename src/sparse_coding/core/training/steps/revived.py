"""What the auxiliary loss of dead features adds to a step: see core.architectures.topk_aux for the formula.

Its slopes reach rows of dead features alone, so a step without a dead feature costs nothing more.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sparse_coding.core.architectures.contract import Form, Parameters, State
from sparse_coding.core.dictionary import keep_largest
from sparse_coding.core.products import linear


@dataclass(frozen=True, eq=False)
class Revived:
    """Slopes of the rows of dead features, whose numbers are ascending; loss: with its weight."""

    features: Int[Tensor, " dead"]
    d_encoder: Float[Tensor, "dead d_in"]
    d_bias: Float[Tensor, " dead"]
    d_decoder: Float[Tensor, "dead d_out"]
    loss: float

    def within(self, rows: slice) -> tuple[slice, Tensor]:
        """Which of them are in a range of features; their numbers in it."""
        ends = torch.tensor([rows.start, rows.stop])
        first, end = torch.searchsorted(self.features, ends).tolist()
        return slice(first, end), self.features[first:end] - rows.start

    def add_bias(self, d_bias: Float[Tensor, " n_feat"], rows: slice) -> None:
        """To the slopes of the biases in a range of features."""
        own, at = self.within(rows)
        d_bias[rows].index_add_(0, at, self.d_bias[own])

    def add_rows(self, d_encoder: Tensor, d_decoder: Tensor, rows: slice) -> None:
        """To slopes of a range of features."""
        own, at = self.within(rows)
        d_encoder.index_add_(0, at, self.d_encoder[own])
        d_decoder.index_add_(0, at, self.d_decoder[own])


def of(
    form: Form, parameters: Parameters, state: State, x: Float[Tensor, "batch d_in"], d_x_hat: Tensor, n_prefixes: int
) -> Revived | None:
    """None where no feature is dead. d_x_hat: 2 / (batch * d_out * n_prefixes) times what the whole put wrong."""
    revival = form.revival
    if not revival or not revival.weight:
        return None
    features = (state["silent"] >= revival.dead_after).nonzero().squeeze(1)
    if not len(features):
        return None
    atoms = parameters[form.decoder][features]
    m = linear(x, parameters[form.encoder][features], parameters[form.bias][features]).relu_()
    most = revival.most(d_x_hat.shape[1])
    codes = keep_largest(m, most) if most < len(features) else m
    wrong = linear(codes, atoms.T).add_(d_x_hat, alpha=d_x_hat.numel() * n_prefixes / 2)
    loss = revival.weight * float(wrong.square().mean())
    d_wrong = wrong.mul_(2 * revival.weight / d_x_hat.numel())
    d_pre = torch.ops.aten.threshold_backward(linear(d_wrong, atoms), codes, 0)
    return Revived(features, linear(d_pre.T, x.T), d_pre.sum(0), linear(codes.T, d_wrong.T), loss)


def loss(errors: list[float], dead: Revived | None) -> float:
    """All of it: errors of prefixes, and what is beside."""
    return sum(errors) / len(errors) + (dead.loss if dead else 0.0)

"""A threshold for each feature, and a wished number of codes (Rajamanoharan et al. 2024, arXiv:2407.14435).

    m = (z - b_dec) E^T + b        c = m where m > theta, else 0        z_hat = c D + b_dec        ||d_i|| = 1
    loss = mean (z_hat - z)^2 + weight / d_act * (mean_b ||c_b||_0 / wished - 1)^2

A step has no slope, so thresholds learn by straight-through gradients: with the window K(u) = 1 for |u| < 1/2,

    d c / d theta = -theta / bandwidth * K((m - theta) / bandwidth)
    d ||c||_0 / d theta = -1 / bandwidth * K((m - theta) / bandwidth)

and m has the slope 1 where m > theta. The penalty is that of their appendix on a wished L0; divided by d_act, it is
weighed against the squared error summed over dimensions, as theirs. What is trained is log theta: a step of Adam
changes a threshold by a share of it, however large it is, and it stays positive.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.architectures.contract import (
    Architecture,
    Form,
    Parameters,
    Penalty,
    Settings,
    State,
    Terms,
)
from sparse_coding.core.architectures.untied import Untied
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.products import linear

LEAST = 1e-3  # a threshold before training, at least


class _Jump(torch.autograd.Function):
    """m where it is above theta, and the number of these in a row; slopes as above."""

    @staticmethod
    def forward(ctx: Any, m: Tensor, theta: Tensor, bandwidth: float) -> tuple[Tensor, Tensor]:
        above = m > theta
        ctx.save_for_backward(m, theta, above)
        ctx.bandwidth = bandwidth
        return m * above, above.sum(1).to(m.dtype)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None]:
        m, theta, above = ctx.saved_tensors
        d_codes, d_counts = slopes
        inside = ((m - theta).abs() < ctx.bandwidth / 2).to(m.dtype)
        d_theta = -(inside * (theta * d_codes + d_counts[:, None])).sum(0) / ctx.bandwidth
        return d_codes * above, d_theta, None


@dataclass(frozen=True)
class JumpReLU(Untied):
    """As untied, with another activation and penalty.

    bandwidth: the width of the window, in units of z; weight: of the penalty.
    """

    bandwidth: float
    weight: float

    @property
    def form(self) -> Form:
        """Its parts."""
        return replace(super().form, threshold="log_threshold", bandwidth=self.bandwidth, l0_weight=self.weight)

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """As untied, with small thresholds."""
        return super().init(n_feat, d_act, generator) | {"log_threshold": torch.full((n_feat,), math.log(LEAST))}

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """One threshold for all features, which a share `density` of the codes of `batch` is above."""
        m = linear(batch, parameters["encoder"]).flatten()
        highest = m.topk(max(round(density * len(m)), 1)).values[-1]
        parameters["log_threshold"].fill_(math.log(max(float(highest), LEAST)))

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above; while it is warmed up, the penalty is that much smaller."""
        x = z - parameters["decoder_bias"]
        m = x @ parameters["encoder"].T + parameters["bias"]
        codes, counts = _Jump.apply(m, parameters["log_threshold"].exp(), self.bandwidth)
        mse = (codes @ functional.normalize(parameters["decoder"], dim=1) - x).square().mean()
        beside = (counts.mean() / penalty.l0 - 1).square()
        return Terms(mse + penalty.warm * self.weight / z.shape[1] * beside, mse, codes)

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Codes in the units of x: thresholds are scaled as the codes are."""
        folded = super().fold(parameters, state, mean, scale, penalty)
        return replace(folded, activation="jumprelu", threshold=parameters["log_threshold"].exp() * scale)


def build(settings: Settings) -> Architecture:
    """By `bandwidth` and `l0_weight`."""
    return JumpReLU(float(settings["bandwidth"]), float(settings["l0_weight"]))

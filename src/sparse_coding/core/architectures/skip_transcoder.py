"""A transcoder with a linear map beside its codes (Paulo, Shabalin & Belrose 2025, arXiv:2501.18823, section 2).

    y_hat = c D + b_dec + x S        all else as core.architectures.transcoder has it

S begins at 0. What is linear in the step from x to y does not have to go through codes.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Architecture, Form, Parameters, Settings
from sparse_coding.core.architectures.transcoder import Transcoder, numbers


class SkipTranscoder(Transcoder):
    """With `skip` [d_in, d_out]."""

    @property
    def form(self) -> Form:
        """As Transcoder, with the map."""
        return replace(super().form, skip="skip")

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """And a map of zeros."""
        skip = torch.zeros(self.d_in, d_act - self.d_in)
        return super().init(n_feat, d_act, generator) | {"skip": skip}

    def beside(self, parameters: Parameters, x: Float[Tensor, "batch d_in"]) -> Tensor | float:
        """x S."""
        return x @ parameters["skip"]


def build(settings: Settings) -> Architecture:
    """By `transcoder.numbers`."""
    return SkipTranscoder(*numbers(settings))

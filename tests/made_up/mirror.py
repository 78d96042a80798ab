"""A made-up kind, for the tests: it is asked for -z, with a scale for each feature, and counts what fired.

c = scale * relu((z - b_dec) E^T + b)        -z_hat = -(c D) - b_dec        ||d_i|| = 1
loss = mean (-z_hat + z)^2 + l1 * mean_b ||c_b||_1 + pull * mean (scale - 1)^2
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sparse_coding.core.architectures.contract import (
    Architecture,
    Parameters,
    Penalty,
    Settings,
    State,
    Terms,
    unit_rows,
)
from sparse_coding.core.dictionary import Dictionary


@dataclass(frozen=True)
class Mirror(Architecture):
    """pull: how strongly scales are held at 1."""

    pull: float

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """Random rows; scales of 1."""
        rows = unit_rows(n_feat, d_act, generator)
        zeros = {"bias": torch.zeros(n_feat), "decoder_bias": torch.zeros(d_act)}
        return {"encoder": rows.clone(), "decoder": -rows, "scale": torch.ones(n_feat), **zeros}

    def state(self, parameters: Parameters) -> State:
        """How often each feature fired."""
        return {"fired": torch.zeros(len(parameters["bias"]))}

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """As above: the target is the mirror image of the input."""
        x = z - parameters["decoder_bias"]
        codes = torch.relu(x @ parameters["encoder"].T + parameters["bias"]) * parameters["scale"].abs()
        mse = (codes @ functional.normalize(parameters["decoder"], dim=1) + x).square().mean()
        beside = self.pull * (parameters["scale"] - 1).square().mean()
        return Terms(mse + penalty.l1 * codes.sum() / len(z) + beside, mse, codes)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """Unit rows; what fired is counted."""
        parameters["decoder"].div_(parameters["decoder"].norm(dim=1, keepdim=True))
        state["fired"] += (terms.codes > 0).sum(0)

    def fold(
        self, parameters: Parameters, state: State, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty
    ) -> Dictionary:
        """Turned back; features that never fired are off."""
        return Dictionary(
            encoder=parameters["encoder"].clone(),
            bias=parameters["bias"] * scale,
            decoder=-parameters["decoder"],
            centre=mean + scale * parameters["decoder_bias"],
            gain=parameters["scale"].abs() * (state["fired"] > 0),
        )


def build(settings: Settings) -> Architecture:
    """By its section."""
    return Mirror(float(settings["pull"]))

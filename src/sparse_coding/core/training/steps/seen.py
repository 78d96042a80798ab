"""What a step saw of its batch, before it moved the parameters."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Seen:
    """mse: mean over batch and dimensions of (z_hat - z)^2; l1_norm: mean over the batch of ||c||_1; l0: of ||c||_0.

    loss: all of it; None where the caller knows it by the form. near: mean over the batch of how many pre-activations
    are in the window around their threshold.
    """

    mse: float
    l1_norm: float
    l0: float
    loss: float | None = None
    near: float = 0.0

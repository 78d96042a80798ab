"""What is timed, and what a trainer is to the benchmark."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from sparse_coding import methods

Parameters = dict[str, Tensor]  # as ours: atoms, bias; or encoder, bias, decoder, decoder_bias, and a skip

MEMBERS = 8  # dictionaries of a grid
ALONE = 2  # how many of them are timed where a trainer holds one dictionary an object: the cost is linear
BETAS, EPS = (0.9, 0.999), 1e-8


@dataclass(frozen=True)
class Setting:
    """One row of the benchmark: an architecture, a shape, and how sparse the codes are.

    sparsity: "L0 50", "k 50", "dense" (zero bias) or "trained" (weights that were really trained).
    l1: one value a member, as ours defines it (loss = mean squared error over batch and dimensions + l1 * mean L1
    norm). k: codes kept, of JumpReLU wished for. lr: 0 holds the L0 still; the arithmetic is the same. Of a pair of
    places both have d_act dimensions, and stand side by side in a batch.
    """

    architecture: str
    n_feat: int
    d_act: int
    batch: int
    sparsity: str
    l1: tuple[float, ...]
    k: int = 0
    lr: float = 0.0

    @property
    def name(self) -> str:
        """For example `d512 untied L0 50`."""
        return f"d{self.d_act} {self.architecture} {self.sparsity}"

    @property
    def is_of_pair(self) -> bool:
        """Whether its batches are of two places."""
        return methods.of(self.architecture).pairs


class Trainer(Protocol):
    """Some dictionaries in training."""

    members: int  # that `step` trains

    def step(self, batch: Tensor) -> None:
        """One optimiser step of every member."""

    def loss(self, batch: Tensor) -> list[float]:
        """The loss of each member before any step, in our definition: shows that all trainers do the same."""


class CannotTrain(RuntimeError):
    """This trainer is not to be had here; the message says why."""

"""What a dictionary would be had something of it not been trained (arXiv:2602.14111): controls, each around a loss.

frozen_decoder, frozen_encoder: the matrix stays as it was drawn, random unit rows; all else is trained.
soft_frozen_decoder: after each step a row of the decoder is taken back to within a cosine of 0.8 of where it began.
step0: nothing is trained; what is not moved by gradients, such as a running threshold, hears of the first batch.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Architecture, Parameters, Penalty, State, Terms
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.methods import Control

COSINE = 0.8
LOOKED_AT = 1  # batches, before training
BEGAN = "decoder_began"  # in the state: rows as they were drawn
OPPOSITE = 1e-6  # sine of the angle, below which a row that points the other way says nothing of where to go


@dataclass(frozen=True)
class Held(Architecture):
    """`base` with some parameters that no step moves (`names`; None: all of them), or with the rows of `near` near."""

    base: Architecture
    names: frozenset[str] | None = frozenset()
    near: str | None = None

    @property
    def matrices(self) -> tuple[str, str]:
        """Those of the base."""
        return self.base.matrices

    def holds(self, name: str) -> bool:
        """Whether it is one of `names`."""
        return self.names is None or name in self.names

    def init(self, n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
        """As the base."""
        return self.base.init(n_feat, d_act, generator)

    def state(self, parameters: Parameters) -> State:
        """That of the base, and where rows began."""
        own = self.base.state(parameters)
        return own if self.near is None else own | {BEGAN: parameters[self.near].clone()}

    def density(self, penalty: Penalty, n_feat: int) -> float | None:
        """As the base."""
        return self.base.density(penalty, n_feat)

    def begin(self, parameters: Parameters, batch: Float[Tensor, "batch d_act"], density: float) -> None:
        """As the base: the first bias, or threshold, is what nothing was learned for."""
        self.base.begin(parameters, batch, density)

    def before(self, parameters: Parameters, state: State) -> None:
        """As the base."""
        self.base.before(self._shown(parameters), state)

    def loss(self, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Terms:
        """That of the base."""
        return self.base.loss(parameters, state, z, penalty)

    def after(self, parameters: Parameters, state: State, terms: Terms) -> None:
        """As the base; then rows that are too far from where they began come back."""
        self.base.after(self._shown(parameters), state, terms)
        if self.near is not None:
            bring_near(parameters[self.near], state[BEGAN])

    def revive(self, parameters: Parameters, state: State, dead: Tensor, z: Float[Tensor, "dead d_act"]) -> list[str]:
        """As the base, but for what is held; where rows are to be near where they began, they are brought back."""
        names = self.base.revive(self._shown(parameters), state, dead, z)
        if self.near is not None:
            bring_near(parameters[self.near], state[BEGAN])
        return [name for name in names if not self.holds(name)]

    def _shown(self, parameters: Parameters) -> Parameters:
        """To make unit rows unit again would move them by rounding: held ones are shown as copies."""
        return {name: each.clone() if self.holds(name) else each for name, each in parameters.items()}

    def settle(self, parameters: Parameters, state: State, rows: Float[Tensor, "row d_act"], penalty: Penalty) -> None:
        """As the base."""
        self.base.settle(self._shown(parameters), state, rows, penalty)

    def fold(
        self,
        parameters: Parameters,
        state: State,
        mean: Float[Tensor, " d_act"],
        scale: Any,  # of a pair of places, one for each dimension
        penalty: Penalty,
    ) -> Dictionary:
        """As the base."""
        return self.base.fold(parameters, state, mean, scale, penalty)


def bring_near(rows: Float[Tensor, "n d"], began: Float[Tensor, "n d"], cosine: float = COSINE) -> None:
    """Move each unit row, in place, to the nearest unit row whose cosine with `began` (unit rows) is at least `cosine`.

    It lies in the plane of both. A row that points the other way is as far from all of these: it goes back.
    """
    along = (rows * began).sum(1, keepdim=True)
    across = rows - along * began
    length = across.norm(dim=1, keepdim=True)
    edge = cosine * began + (1 - cosine**2) ** 0.5 * across / length.clamp(min=OPPOSITE)
    edge = torch.where(length < OPPOSITE, began, edge / edge.norm(dim=1, keepdim=True))
    rows.copy_(torch.where(along < cosine, edge, rows))


def trains(control: Control | None) -> bool:
    """Whether anything moves; otherwise LOOKED_AT batches are looked at."""
    return control != "step0"


def steps_of(steps: int, control: Control | None) -> int:
    """How many of so many steps are taken."""
    return steps if trains(control) else LOOKED_AT


def controlled(base: Architecture, control: Control | None) -> Architecture:
    """An architecture with what `control` says held; None: as it is."""
    encoder, decoder = base.matrices
    made: dict[Control | None, Architecture] = {
        None: base,
        "frozen_decoder": Held(base, frozenset({decoder})),
        "soft_frozen_decoder": Held(base, near=decoder),
        "frozen_encoder": Held(base, frozenset({encoder})),
        "step0": Held(base, names=None),
    }
    return made[control]

"""What an optimiser is to those who train: how a parameter moves against its gradient.

One is a file here: a class that keeps the contract, and `build(settings)`, which makes what makes it of parameters.
"""

import copy
from typing import Any, ClassVar

from torch import Tensor, zeros_like

from sparse_coding.core.architectures.contract import Parameters

# Numbers of one step. On a GPU tensors, so that nothing waits for them: of no dimension, or a number a member.
Rates = tuple[Any, ...]


class Optimiser:
    """Moves parameters in place, with gradients that are given and not recorded.

    The learning rate is an argument of each step, because it follows a schedule. `moments`: what is kept beside each
    parameter, of its shape, zero at first; with `count`, the steps done, it is all that is in what is kept of a member
    in training. keeps: their names.
    """

    keeps: ClassVar[tuple[str, ...]] = ()

    def __init__(self, parameters: Parameters) -> None:
        self._begin_over(parameters)

    def _begin_over(self, parameters: Parameters) -> None:
        self.parameters, self.count = parameters, 0
        self.moments = {
            kept: {name: zeros_like(parameter) for name, parameter in parameters.items()} for kept in self.keeps
        }

    def over(self, parameters: Parameters) -> "Optimiser":
        """One with the same settings, at its beginning, for other parameters."""
        other = copy.copy(self)
        other._begin_over(parameters)
        return other

    def begin(self, lr: float) -> Rates:
        """Count a step; its numbers."""
        self.count += 1
        return self.rates(lr, self.count)

    def rates(self, lr: float, count: int) -> tuple[float, ...]:
        """The numbers of step `count`, from 1, that all parameters move by."""
        raise NotImplementedError

    def move(self, name: str, gradient: Tensor, rates: Rates, rows: slice = slice(None)) -> None:
        """Move rows of a parameter against their gradient (the same shape): no whole gradient has to exist."""
        self._move(name, gradient, tuple(_beside(rate, gradient) for rate in rates), rows)

    def _move(self, name: str, gradient: Tensor, rates: Rates, rows: slice) -> None:
        """As `move`, with rates that multiply what is of the shape of `gradient`."""
        raise NotImplementedError


def _beside(rate: Any, like: Tensor) -> Any:
    """A number a member is brought to the dimensions of `like`, of which members are the first."""
    return rate.reshape(-1, *(1,) * (like.ndim - 1)) if isinstance(rate, Tensor) and rate.ndim else rate

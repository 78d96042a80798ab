"""Adam (Kingma & Ba 2015, algorithm 1), in place, with gradients that are given and not recorded."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rates:
    """One step: a parameter moves by size * first / (sqrt(second) * correction + eps)."""

    size: float
    correction: float


class Adam:
    """The moments of named parameters and the step count.

    The arithmetic is that of torch.optim.Adam; the learning rate is an argument of each step because it follows
    a schedule. A parameter may be moved some rows at a time, so that no whole gradient has to exist.

    legacy: the moments are corrected in each step as if it were the first one, by 1 / (1 - beta), which is a defect
    of the code behind Cunningham et al. 2023: docs/paper.md.
    """

    def __init__(
        self, parameters: dict[str, Tensor], beta1: float, beta2: float, eps: float, legacy: bool = False
    ) -> None:
        self.parameters = parameters
        self.beta1, self.beta2, self.eps, self.legacy = beta1, beta2, eps, legacy
        self.count = 0
        self.first = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
        self.second = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}

    def begin(self, lr: float) -> Rates:
        """Count a step."""
        self.count = 1 if self.legacy else self.count + 1
        return Rates(lr / (1 - self.beta1**self.count), 1 / math.sqrt(1 - self.beta2**self.count))

    def move(self, name: str, gradient: Tensor, rates: Rates, rows: slice = slice(None)) -> None:
        """Move rows of a parameter against their gradient (the same shape)."""
        first, second = self.first[name][rows], self.second[name][rows]
        first.lerp_(gradient, 1 - self.beta1)
        second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        scale = second.sqrt().mul_(rates.correction).add_(self.eps)
        self.parameters[name][rows].addcdiv_(first, scale, value=-rates.size)

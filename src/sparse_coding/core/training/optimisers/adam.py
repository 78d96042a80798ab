"""Adam (Kingma & Ba 2015, algorithm 1)."""

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor

from sparse_coding.core.architectures.contract import Parameters, Settings
from sparse_coding.core.training.optimisers.contract import Optimiser, Rates


class Adam(Optimiser):
    """A parameter moves by size * first / (sqrt(second) * correction + eps).

    The arithmetic is that of torch.optim.Adam. legacy: the moments are corrected in each step as if it were the first
    one, by 1 / (1 - beta), which is a defect of the code behind Cunningham et al. 2023: docs/paper.md.
    """

    keeps = ("first", "second")

    def __init__(self, parameters: Parameters, beta1: float, beta2: float, eps: float, legacy: bool = False) -> None:
        super().__init__(parameters)
        self.beta1, self.beta2, self.eps, self.legacy = beta1, beta2, eps, legacy

    @property
    def first(self) -> Parameters:
        """The means of gradients, by parameter."""
        return self.moments["first"]

    @property
    def second(self) -> Parameters:
        """The means of their squares."""
        return self.moments["second"]

    def rates(self, lr: float, count: int) -> tuple[float, float]:
        """Size and correction."""
        count = 1 if self.legacy else count
        return lr / (1 - self.beta1**count), 1 / math.sqrt(1 - self.beta2**count)

    def _move(self, name: str, gradient: Tensor, rates: Rates, rows: slice) -> None:
        """Both moments, then the parameter."""
        size, correction = rates
        first, second = self.first[name][rows], self.second[name][rows]
        first.lerp_(gradient, 1 - self.beta1)
        second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        scale = second.sqrt().mul_(correction).add_(self.eps)
        if isinstance(size, Tensor):  # `value` would fetch it from its device
            self.parameters[name][rows].sub_(first.div(scale).mul_(size))
        else:
            self.parameters[name][rows].addcdiv_(first, scale, value=-size)


def build(settings: Settings) -> Callable[[Parameters], Adam]:
    """By the section's decays and epsilon."""
    decays = float(settings["beta1"]), float(settings["beta2"])
    legacy = bool(settings.get("legacy_adam", False))
    return partial(Adam, beta1=decays[0], beta2=decays[1], eps=float(settings["eps"]), legacy=legacy)

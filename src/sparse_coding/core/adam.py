"""Adam (Kingma & Ba 2015, algorithm 1), in place, with gradients that are given and not recorded."""

import math

import torch
from torch import Tensor


class Adam:
    """The moments and the step count of a list of parameters.

    The arithmetic is that of torch.optim.Adam; the learning rate is an argument of each step because it follows
    a schedule.
    """

    def __init__(self, parameters: list[Tensor], beta1: float, beta2: float, eps: float) -> None:
        self.parameters = parameters
        self.beta1, self.beta2, self.eps = beta1, beta2, eps
        self.count = 0
        self.first = [torch.zeros_like(parameter) for parameter in parameters]
        self.second = [torch.zeros_like(parameter) for parameter in parameters]
        self._scratch = [torch.empty_like(parameter) for parameter in parameters]

    def step(self, gradients: list[Tensor], lr: float) -> None:
        """Move every parameter against its gradient (same shapes, same order)."""
        self.count += 1
        correction1 = 1 - self.beta1**self.count
        correction2 = 1 - self.beta2**self.count
        slots = zip(self.parameters, gradients, self.first, self.second, self._scratch, strict=True)
        for parameter, gradient, first, second, scratch in slots:
            first.lerp_(gradient, 1 - self.beta1)
            second.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
            torch.sqrt(second, out=scratch).div_(math.sqrt(correction2)).add_(self.eps)
            parameter.addcdiv_(first, scratch, value=-lr / correction1)

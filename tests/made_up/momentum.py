"""A made-up optimiser, for the tests: gradient descent with momentum, whose decay is that of Adam's first moment."""

from collections.abc import Callable
from functools import partial

from torch import Tensor

from sparse_coding.core.architectures.contract import Parameters, Settings
from sparse_coding.core.training.optimisers.contract import Optimiser, Rates


class Momentum(Optimiser):
    """A parameter moves by lr * velocity, velocity = decay * velocity + gradient."""

    keeps = ("velocity",)

    def __init__(self, parameters: Parameters, decay: float) -> None:
        super().__init__(parameters)
        self.decay = decay

    def rates(self, lr: float, count: int) -> tuple[float]:
        """The rate."""
        return (lr,)

    def _move(self, name: str, gradient: Tensor, rates: Rates, rows: slice) -> None:
        """As torch.optim.SGD."""
        velocity = self.moments["velocity"][name][rows]
        velocity.mul_(self.decay).add_(gradient)
        self.parameters[name][rows].sub_(velocity * rates[0])


def build(settings: Settings) -> Callable[[Parameters], Momentum]:
    """By `beta1`."""
    return partial(Momentum, decay=float(settings["beta1"]))

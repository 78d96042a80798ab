"""Dead features begin anew, where the loss is large (Bricken et al. 2023, appendix "Neuron Resampling").

Every so many steps, features without a code in the last ones take the direction of a vector each: drawn without
replacement, with a probability proportional to the square of its loss. The encoder's row is short, the bias 0, and
Adam's moments of these rows are 0. They have 819,200 vectors to draw from; here it is the batch of the step, so that a
training that was broken off needs no other vectors to go on; of more dead features than vectors some wait.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Architecture, Parameters, Penalty, State

QUIET = "quiet"  # in the state: for how many steps each feature has had no code
STREAM = 1  # of random numbers, apart from others of the seed


@dataclass(frozen=True)
class Resampling:
    """every: steps between; dead_after: steps without a code; until: the last step before which it is done."""

    every: int
    dead_after: int
    until: int

    def is_at(self, step: int) -> bool:
        """Whether it is done before step `step`."""
        return 0 < step <= self.until and step % self.every == 0

    def dead(self, state: State) -> Tensor:
        """The numbers of dead features, ascending, on the processor."""
        return (state[QUIET].cpu() >= self.dead_after).nonzero().squeeze(1)


def hear(state: State, fired: Tensor) -> None:
    """After each step, where it is counted: which features [n_feat] had a code."""
    state[QUIET].add_(1).masked_fill_(fired, 0)


def losses(
    architecture: Architecture, parameters: Parameters, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty
) -> Float[Tensor, " batch"]:
    """Squared error and L1 penalty of each vector, by the dictionary as it would be saved now."""
    own, kept = ({name: tensor.cpu() for name, tensor in those.items()} for those in (parameters, state))
    dictionary = architecture.fold(own, kept, torch.zeros(z.shape[1]), 1.0, penalty)
    codes = dictionary.encode(z)
    return (dictionary.decode(codes) - z).square().mean(1) + penalty.l1 * codes.sum(1)


def draw(loss: Float[Tensor, " batch"], n: int, seed: int, step: int) -> Tensor:
    """n vectors, or as many as have a loss, each once, by the squares of their losses; of the seed and step alone.

    Whose exponential waiting time at a rate of its square is over first, comes first: Efraimidis & Spirakis 2006.
    """
    waits = np.random.default_rng((seed, step, STREAM)).exponential(size=len(loss))
    rates = np.square(loss.double().numpy())
    with np.errstate(divide="ignore"):
        times = waits / rates
    first = np.argsort(times, kind="stable")[:n]
    return torch.from_numpy(first[np.isfinite(times[first])])


def resample(
    architecture: Architecture,
    tensors: tuple[Parameters, State, Iterable[Parameters]],
    dead: Tensor,
    z: Float[Tensor, "batch d_act"],
    penalty: Penalty,
    at: tuple[int, int],
) -> int:
    """Give dead features new rows; how many. tensors: parameters, state and moments; at: seed and step."""
    parameters, state, moments = tensors
    here = z.cpu()
    chosen = draw(losses(architecture, parameters, state, here, penalty), len(dead), *at)
    rows = dead[: len(chosen)]
    if not len(rows):
        return 0
    for name in architecture.revive(parameters, state, rows, here[chosen]):
        for those in moments:
            those[name][rows] = 0
    state[QUIET][rows] = 0
    return len(rows)

"""The step for any loss, by autograd: one member, on any device, in any number format."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Architecture, Penalty, State
from sparse_coding.core.training.clipping import clipped
from sparse_coding.core.training.optimisers.contract import Optimiser
from sparse_coding.core.training.resampling import QUIET, hear
from sparse_coding.errors import BadInput


def step(
    architecture: Architecture,
    optimiser: Optimiser,
    state: State,
    z: Float[Tensor, "batch d_act"],
    penalty: Penalty,
    lr: float,
    clip_norm: float | None = None,
) -> Float[Tensor, " 4"]:
    """Move what is not held of the parameters of `optimiser` by one step on the batch `z`, `state` as the architecture
    does.

    clip_norm: the largest norm of all slopes together; larger ones are scaled to it, None: none are.

    The first numbers of Seen, where `z` is: nothing here waits for a GPU. Raises BadInput for a parameter that the loss
    does not hang on: it would stay where it was, without a word.
    """
    parameters = optimiser.parameters
    architecture.before(parameters, state)
    leaves = {name: each.detach().requires_grad_(not architecture.holds(name)) for name, each in parameters.items()}
    moved = {name: leaf for name, leaf in leaves.items() if leaf.requires_grad}
    with torch.enable_grad():
        terms = architecture.loss(leaves, state, z, penalty)
    slopes: Sequence[Tensor] = torch.autograd.grad(terms.loss, list(moved.values()), allow_unused=True) if moved else ()
    for name, slope in zip(moved, slopes, strict=True):
        if slope is None:
            raise BadInput(
                f"{type(architecture).__name__}.loss", f"nothing of parameter {name!r}", "all of `init` in it"
            )
    if clip_norm is not None:
        slopes = clipped(slopes, clip_norm)
    rates = optimiser.begin(lr)
    for name, slope in zip(moved, slopes, strict=True):
        optimiser.move(name, slope, rates)
    codes = terms.codes.detach()
    saw = torch.stack([terms.mse.detach(), codes.sum() / len(z), codes.sign().sum() / len(z), terms.loss.detach()])
    architecture.after(parameters, state, terms._replace(loss=saw[3], mse=saw[0], codes=codes))
    if QUIET in state:
        hear(state, (codes > 0).any(0))
    return saw

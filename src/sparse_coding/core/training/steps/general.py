"""The step for any loss, by autograd: one member, on any device, in any number format."""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Architecture, Penalty, State
from sparse_coding.core.training.adam import Adam
from sparse_coding.core.training.steps.seen import Seen
from sparse_coding.errors import BadInput


def step(
    architecture: Architecture, adam: Adam, state: State, z: Float[Tensor, "batch d_act"], penalty: Penalty, lr: float
) -> Seen:
    """Move all parameters of `adam` by one step on the batch `z`, and `state` as the architecture does.

    Raises BadInput for a parameter that the loss does not hang on: Adam would leave it where it was, without a word.
    """
    parameters = adam.parameters
    architecture.before(parameters, state)
    leaves = {name: parameter.detach().requires_grad_() for name, parameter in parameters.items()}
    with torch.enable_grad():
        terms = architecture.loss(leaves, state, z, penalty)
    slopes = torch.autograd.grad(terms.loss, list(leaves.values()), allow_unused=True)
    for name, slope in zip(leaves, slopes, strict=True):
        if slope is None:
            raise BadInput(
                f"{type(architecture).__name__}.loss", f"nothing of parameter {name!r}", "all of `init` in it"
            )
    rates = adam.begin(lr)
    for name, slope in zip(leaves, slopes, strict=True):
        adam.move(name, slope, rates)
    codes = terms.codes.detach()
    saw = torch.stack([terms.mse.detach(), codes.sum() / len(z), codes.sign().sum() / len(z), terms.loss.detach()])
    architecture.after(parameters, state, terms._replace(loss=saw[3], mse=saw[0], codes=codes))
    return Seen(*saw.tolist())

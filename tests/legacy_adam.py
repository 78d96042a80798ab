"""The optimiser step of the original's ensemble with its defect, from its mechanism and not from a formula.

`update` changes the moments in place and returns a state with them and a new count. `step` copies that state into
clones of the old one, which nobody keeps: so the moments live on and the count is 0 for ever.
"""

import torch


def begin(parameters):
    """The state: a count, and two moments for each parameter."""
    zeros = [torch.zeros_like(value) for value in parameters]
    return [torch.zeros((), dtype=torch.float64), *zeros, *(value.clone() for value in zeros)]


def update(gradients, state, lr, beta1, beta2, eps):
    """What to add to the parameters, and the state after it (Kingma & Ba 2015, algorithm 1)."""
    n, count = len(gradients), state[0] + 1
    first, second, updates = state[1 : n + 1], state[n + 1 :], []
    for gradient, mean, square in zip(gradients, first, second, strict=True):
        mean.mul_(beta1).add_((1 - beta1) * gradient)
        square.mul_(beta2).add_((1 - beta2) * gradient**2)
        corrected = mean / (1 - beta1**count), square / (1 - beta2**count)
        updates.append(-lr * corrected[0] / (corrected[1].sqrt() + eps))
    return updates, [count, *first, *second]


def step(parameters, gradients, state, lr, betas=(0.9, 0.999), eps=1e-8):
    """Move the parameters."""
    updates, after = update(gradients, state, lr, *betas, eps)
    for leaf, new in zip(state, after, strict=True):
        leaf = leaf.clone()  # the defect: what is written is not what is kept
        leaf.copy_(new)
    for parameter, change in zip(parameters, updates, strict=True):
        parameter.add_(change)

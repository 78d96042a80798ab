"""Training written a second time: float64, autograd, torch.optim.Adam, the losses as the papers write them."""

import torch

from sparse_coding.core.architectures.contract import Penalty
from tests.core.test_architectures import paper_loss

ATOMS = {"tied": "atoms", "untied": "decoder", "topk": "decoder"}


def train_reference(name, initial, batches, penalty, schedule, betas=(0.9, 0.999), eps=1e-8):
    """The trained parameters and the loss of every step, from `initial` parameters on float batches."""
    leaves = {key: value.double().clone().requires_grad_() for key, value in initial.items()}
    optimiser = torch.optim.Adam(leaves.values(), betas=betas, eps=eps)
    losses = []
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        optimiser.zero_grad()
        warmed = Penalty(penalty.l1 * schedule.l1_factor(step), penalty.k)
        loss = paper_loss(name, leaves, batch.double(), warmed)[0]
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            atoms = leaves[ATOMS[name]]
            atoms /= atoms.norm(dim=1, keepdim=True)
        losses.append(loss.item())
    return {key: value.detach() for key, value in leaves.items()}, losses

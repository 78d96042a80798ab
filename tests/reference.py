"""Training written a second time: float64, autograd, torch.optim.Adam, the losses as the papers write them."""

import torch

from sparse_coding.core.architectures.contract import Penalty
from tests.architectures import BY_NAME

ATOMS = {"tied": "atoms", "untied": "decoder", "topk": "decoder"}


def paper_codes(name, parameters, z, penalty):
    """Codes and reconstruction, with unit rows made inside, so that autograd sees the constraint."""
    if name == "tied":
        atoms = torch.nn.functional.normalize(parameters["atoms"], dim=1)
        codes = torch.relu(z @ atoms.T + parameters["bias"])
        return codes, codes @ atoms
    decoder = torch.nn.functional.normalize(parameters["decoder"], dim=1)
    centred = z - parameters["decoder_bias"]
    codes = torch.relu(centred @ parameters["encoder"].T + parameters["bias"])
    if name == "topk":
        threshold = codes.topk(min(penalty.k, codes.shape[1]), dim=1).values[:, -1:]
        codes = codes * (codes >= threshold)
    return codes, codes @ decoder + parameters["decoder_bias"]


def paper_loss(name, parameters, z, penalty):
    """The loss as the papers write it; also the mean squared error and the codes."""
    codes, z_hat = paper_codes(name, parameters, z, penalty)
    mse = ((z_hat - z) ** 2).mean()
    return mse + (0 if name == "topk" else penalty.l1) * codes.sum(1).mean(), mse, codes


def train_reference(name, initial, batches, penalty, schedule, optimiser=torch.optim.Adam):
    """The trained parameters and the loss of every step, from `initial` parameters on float batches."""
    leaves = {key: value.double().clone().requires_grad_() for key, value in initial.items()}
    optimiser = optimiser(leaves.values())
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


def random_parameters(name, n_feat, d_act, seed):
    """Parameters in float64, away from their initial values: zero biases hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    parameters = BY_NAME[name].init(n_feat, d_act, generator)
    for key, value in parameters.items():
        value.add_(0.3 * torch.randn(value.shape, generator=generator) / d_act**0.5)
        parameters[key] = value.double()
    atoms = parameters[BY_NAME[name].form.decoder]
    atoms /= atoms.norm(dim=1, keepdim=True)
    return parameters

"""Training written a second time: float64, autograd, torch.optim.Adam, the losses as the papers write them."""

from dataclasses import replace

import torch

from tests.architectures import BY_NAME, JUMPRELU
from tests.reference_kept import KEPT, Kept

ATOMS = {"tied": "atoms"} | dict.fromkeys(("untied", "topk", "jumprelu", "gated", *KEPT), "decoder")


def jumped(m, theta, length=1.0):
    """m above theta, and 1 there; slopes of theta within the window only (Rajamanoharan et al. 2024, eq. 11, 12).

    Here and below `length` is the mean length of the vectors, with which the window grows.
    """
    above, width = (m > theta).to(m.dtype), JUMPRELU.bandwidth * length
    window = ((m - theta).abs() < width / 2) / width
    hears = window * (theta - theta.detach())  # nothing, with a slope
    return m * above - theta.detach() * hears, above - hears


def _pre_activations(parameters, z):
    return (z - parameters["decoder_bias"]) @ parameters["encoder"].T + parameters["bias"]


def _shared(parameters, z):
    return (z - parameters["decoder_bias"]) @ parameters["encoder"].T


def gates(parameters, z):
    """relu of pi_gate (Rajamanoharan et al. 2024, arXiv:2404.16014, eq. 5)."""
    return torch.relu(_shared(parameters, z) + parameters["gate_bias"])


def _magnitudes(parameters, z):
    return torch.relu(parameters["log_scale"].exp() * _shared(parameters, z) + parameters["magnitude_bias"])


def _by_gates(parameters, z):
    """Their auxiliary loss, eq. 8: a frozen copy of the decoder puts together what the gates alone say."""
    frozen = torch.nn.functional.normalize(parameters["decoder"], dim=1).detach()
    z_hat = gates(parameters, z) @ frozen + parameters["decoder_bias"].detach()
    return ((z_hat - z) ** 2).mean()


def paper_codes(name, parameters, z, penalty, length=1.0):
    """Codes and reconstruction, with unit rows made inside, so that autograd sees the constraint."""
    if name == "tied":
        atoms = torch.nn.functional.normalize(parameters["atoms"], dim=1)
        codes = torch.relu(z @ atoms.T + parameters["bias"])
        return codes, codes @ atoms
    decoder = torch.nn.functional.normalize(parameters["decoder"], dim=1)
    if name == "gated":
        codes = _magnitudes(parameters, z) * (gates(parameters, z) > 0)
        return codes, codes @ decoder + parameters["decoder_bias"]
    m = _pre_activations(parameters, z)
    codes = jumped(m, parameters["log_threshold"].exp(), length)[0] if name == "jumprelu" else torch.relu(m)
    if "threshold" in parameters:
        codes = codes * (codes > parameters["threshold"])
    elif name in ("topk", "topk_aux"):
        threshold = codes.topk(min(penalty.k, codes.shape[1]), dim=1).values[:, -1:]
        codes = codes * (codes >= threshold)
    return codes, codes @ decoder + parameters["decoder_bias"]


def paper_loss(name, parameters, z, penalty, length=1.0):
    """The loss as the papers write it; also the mean squared error and the codes."""
    codes, z_hat = paper_codes(name, parameters, z, penalty, length)
    mse = ((z_hat - z) ** 2).mean()
    return mse + paper_penalty(name, parameters, z, codes, penalty, length), mse, codes


def first_thresholds(parameters, batch, density):
    """log theta [n_feat] before training: one for all features, which a share `density` of the codes is above."""
    m = _pre_activations(parameters, batch).flatten()
    return torch.full_like(parameters["log_threshold"], float(m.topk(round(density * len(m))).values[-1].log()))


def first_gates(parameters, batch, density):
    """The bias of all gates [n_feat] before training, with which a share `density` of them is open."""
    ordered = _shared(parameters, batch).flatten().sort(descending=True).values
    return torch.full_like(parameters["gate_bias"], -float(ordered[round(density * len(ordered))]))


def paper_penalty(name, parameters, z, codes, penalty, length=1.0):
    """None for TopK; of JumpReLU that of their appendix on a wished L0, beside the error summed over dimensions, which
    grows with the square of the vectors' length."""
    if name == "topk":
        return 0
    if name == "gated":
        return penalty.l1 * gates(parameters, z).sum(1).mean() + _by_gates(parameters, z)
    if name != "jumprelu":
        return penalty.l1 * codes.sum(1).mean()
    l0 = jumped(_pre_activations(parameters, z), parameters["log_threshold"].exp(), length)[1].sum(1).mean()
    return penalty.warm * JUMPRELU.l0_weight * length**2 * (l0 / penalty.l0 - 1) ** 2 / z.shape[1]


def train_reference(name, initial, batches, penalty, schedule, optimiser=torch.optim.Adam, length=1.0):
    """The trained parameters and the loss of every step, from `initial` parameters on float batches.

    Of kinds that choose over the batch also the threshold that replaces it, with the parameters.
    """
    leaves = {key: value.double().clone().requires_grad_() for key, value in initial.items()}
    optimiser = optimiser(leaves.values())
    losses, kept = [], Kept(name, len(initial["bias"])) if name in KEPT else None
    for step, batch in enumerate(batches):
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate(step)
        optimiser.zero_grad()
        warm = schedule.l1_factor(step)
        warmed = replace(penalty, l1=penalty.l1 * warm, warm=warm)
        both = leaves, batch.double(), warmed
        loss = kept.loss(*both) if kept else paper_loss(name, *both, length)[0]
        loss.backward()
        optimiser.step()
        with torch.no_grad():
            atoms = leaves[ATOMS[name]]
            atoms /= atoms.norm(dim=1, keepdim=True)
        losses.append(loss.item())
    trained = {key: value.detach() for key, value in leaves.items()}
    return trained | ({"threshold": kept.threshold()} if kept and kept.of_batch else {}), losses


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

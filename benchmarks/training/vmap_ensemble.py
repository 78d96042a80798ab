"""All members stacked, `vmap` of the gradient of the loss, Adam on the stacked tensors.

This is the design of FunctionalEnsemble in the code of Cunningham et al. (2023, HoagyC/sparse_coding), written anew:
their code does not run as published (the tied loss reads a key that init does not set), and their Adam, vmapped from
torchopt, falls back to a slow loop. As there, rows are normalised inside the loss and the untied autoencoder has no
decoder bias.
"""

import math

import torch
from torch import Tensor

from benchmarks.training.contract import BETAS, EPS, CannotTrain, Parameters, Setting

NOTE = "`torch.func.vmap` of `grad` over all members, Adam on stacked tensors; no decoder bias"
ARCHITECTURES = ("tied", "untied")
Stacked = dict[str, Tensor]


def tied_loss(parameters: Stacked, l1: Tensor, z: Tensor) -> Tensor:
    """One member's loss."""
    atoms = parameters["atoms"] / parameters["atoms"].norm(dim=1, keepdim=True)
    codes = torch.relu(z @ atoms.T + parameters["bias"])
    return (codes @ atoms - z).square().mean() + l1 * codes.sum() / len(z)


def untied_loss(parameters: Stacked, l1: Tensor, z: Tensor) -> Tensor:
    """One member's loss."""
    decoder = parameters["decoder"] / parameters["decoder"].norm(dim=1, keepdim=True)
    codes = torch.relu(z @ parameters["encoder"].T + parameters["bias"])
    return (codes @ decoder - z).square().mean() + l1 * codes.sum() / len(z)


class VmapEnsemble:
    """All members at once."""

    def __init__(self, setting: Setting, parameters: list[Parameters]) -> None:
        if any(each.get("decoder_bias", torch.zeros(1)).any() for each in parameters):
            raise CannotTrain("no decoder bias")
        self.members, self.lr, self.count = len(parameters), setting.lr, 0
        names = [name for name in parameters[0] if name != "decoder_bias"]
        self.parameters = {name: torch.stack([each[name] for each in parameters]) for name in names}
        self.first = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}
        self.second = {name: torch.zeros_like(tensor) for name, tensor in self.parameters.items()}
        self.l1 = torch.tensor(setting.l1[: self.members])
        loss = tied_loss if setting.architecture == "tied" else untied_loss
        self.losses = torch.func.vmap(loss, (0, 0, None))
        self.gradients = torch.func.vmap(torch.func.grad(loss), (0, 0, None))

    def step(self, batch: Tensor) -> None:
        """One Adam step of all members."""
        self.count += 1
        correction1, correction2 = (1 - beta**self.count for beta in BETAS)
        for name, gradient in self.gradients(self.parameters, self.l1, batch).items():
            first, second = self.first[name], self.second[name]
            first.lerp_(gradient, 1 - BETAS[0])
            second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            spread = second.sqrt().div_(math.sqrt(correction2)).add_(EPS)
            self.parameters[name].addcdiv_(first, spread, value=-self.lr / correction1)

    @torch.no_grad()
    def loss(self, batch: Tensor) -> list[float]:
        """As trained."""
        return self.losses(self.parameters, self.l1, batch).tolist()


def make(setting: Setting, parameters: list[Parameters]) -> VmapEnsemble:
    """All members."""
    return VmapEnsemble(setting, parameters)

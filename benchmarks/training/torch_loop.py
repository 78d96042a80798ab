"""What one writes in plain PyTorch: autograd, the fused Adam, gradients projected on the sphere, rows renormalised.

The decoder bias is subtracted from the input as (b - E b_dec), which saves autograd a matrix product; dictionary
learning libraries that subtract it from the batch pay for it.
"""

import torch
from torch import Tensor

from benchmarks.training.contract import ALONE, BETAS, EPS, CannotTrain, Parameters, Setting

NOTE = "autograd, `torch.optim.Adam(fused=True)`, a loop over dictionaries; nothing that ours does not do"
NOTE_ONEDNN = (
    "the same with `torch.backends.mkldnn.matmul.fp32_precision = 'bf16'`, which sends products to oneDNN; it is used "
    "only where the result stays float32, that is without AMX"
)
ARCHITECTURES = ("tied", "untied", "topk")


class OneDictionary:
    """One dictionary with its optimiser."""

    def __init__(self, setting: Setting, parameters: Parameters, l1: float) -> None:
        self.l1, self.k, self.tied = l1, setting.k, setting.architecture == "tied"
        self.parameters = {name: tensor.clone().requires_grad_() for name, tensor in parameters.items()}
        self.atoms = self.parameters["atoms" if self.tied else "decoder"]
        self.optimiser = torch.optim.Adam(self.parameters.values(), setting.lr, BETAS, EPS, fused=True)

    def loss(self, z: Tensor) -> Tensor:
        """Mean squared error over batch and dimensions, and the L1 penalty."""
        codes, z_hat = self.tied_pass(z) if self.tied else self.untied_pass(z)
        error = (z_hat - z).square().mean()
        return error if self.k else error + self.l1 * codes.sum() / len(z)

    def tied_pass(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and reconstruction from one matrix."""
        codes = torch.addmm(self.parameters["bias"], z, self.atoms.T).relu()
        return codes, codes @ self.atoms

    def untied_pass(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Codes and reconstruction; the k largest codes where there is a k."""
        encoder, centre = self.parameters["encoder"], self.parameters["decoder_bias"]
        codes = torch.addmm(self.parameters["bias"] - encoder @ centre, z, encoder.T).relu()
        if self.k:
            values, indices = codes.topk(self.k, dim=1, sorted=False)
            codes = torch.zeros_like(codes).scatter(1, indices, values)
        return codes, torch.addmm(centre, codes, self.atoms)

    def step(self, z: Tensor) -> None:
        """One optimiser step on the sphere."""
        self.optimiser.zero_grad()
        self.loss(z).backward()
        with torch.no_grad():
            along = (self.atoms.grad * self.atoms).sum(1, keepdim=True)
            self.atoms.grad.addcmul_(along, self.atoms, value=-1)
            self.optimiser.step()
            self.atoms.div_(self.atoms.norm(dim=1, keepdim=True))


class TorchLoop:
    """Some dictionaries, one after the other."""

    def __init__(self, setting: Setting, parameters: list[Parameters], precision: str) -> None:
        self.precision, self.members = precision, len(parameters)
        pairs = zip(parameters, setting.l1, strict=False)
        self.dictionaries = [OneDictionary(setting, each, l1) for each, l1 in pairs]

    def step(self, batch: Tensor) -> None:
        """One step of every dictionary."""
        usual = torch.backends.mkldnn.matmul.fp32_precision
        torch.backends.mkldnn.matmul.fp32_precision = self.precision
        try:
            for each in self.dictionaries:
                each.step(batch)
        finally:
            torch.backends.mkldnn.matmul.fp32_precision = usual

    @torch.no_grad()
    def loss(self, batch: Tensor) -> list[float]:
        """As trained."""
        return [float(each.loss(batch)) for each in self.dictionaries]


def make(setting: Setting, parameters: list[Parameters]) -> TorchLoop:
    """Some of the members."""
    return TorchLoop(setting, parameters[:ALONE], torch.backends.mkldnn.matmul.fp32_precision)


def make_onednn(setting: Setting, parameters: list[Parameters]) -> TorchLoop:
    """The same by oneDNN; raises CannotTrain where that would lose precision."""
    x, usual = torch.randn(256, 256), torch.backends.mkldnn.matmul.fp32_precision
    torch.backends.mkldnn.matmul.fp32_precision = "bf16"
    off = (torch.mm(x, x).double() - x.double() @ x.double()).abs().max() / 256**0.5
    torch.backends.mkldnn.matmul.fp32_precision = usual
    if off > 1e-4:
        raise CannotTrain("oneDNN computes in bfloat16 on this processor")
    return TorchLoop(setting, parameters[:ALONE], "bf16")

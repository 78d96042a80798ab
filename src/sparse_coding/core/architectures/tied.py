"""The paper's autoencoder: one matrix of unit rows encodes and decodes (Cunningham et al. 2023, section 2).

c = relu(z D^T + b)        z_hat = c D        ||d_i|| = 1
loss = mean (z_hat - z)^2 + l1 * mean_b ||c_b||_1
"""

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.architectures.contract import Gradients, Parameters, Penalty, renormalise, tangent, unit_rows
from sparse_coding.core.dictionary import Dictionary


def init(n_feat: int, d_act: int, generator: torch.Generator) -> Parameters:
    """Random unit atoms, zero bias."""
    return {"atoms": unit_rows(n_feat, d_act, generator), "bias": torch.zeros(n_feat)}


def gradients(parameters: Parameters, z: Float[Tensor, "batch d_act"], penalty: Penalty) -> Gradients:
    """Two paths lead to the atoms: the decoder's c^T r, and the encoder's dpre^T z."""
    atoms = parameters["atoms"]
    codes = torch.addmm(parameters["bias"], z, atoms.T).relu_()
    residual = (codes @ atoms).sub_(z)
    mse = residual.square().mean()
    d_z_hat = residual.mul_(2 / residual.numel())
    d_pre = torch.mm(d_z_hat, atoms.T).add_(penalty.l1 / len(z)).masked_fill_(codes == 0, 0)
    d_atoms = torch.mm(d_pre.T, z).addmm_(codes.T, d_z_hat)
    l1_norm = codes.sum() / len(z)
    return Gradients(
        loss=mse + penalty.l1 * l1_norm,
        mse=mse,
        l1_norm=l1_norm,
        codes=codes,
        parameters={"atoms": tangent(d_atoms, atoms), "bias": d_pre.sum(0)},
    )


def constrain(parameters: Parameters) -> None:
    """Unit rows."""
    renormalise(parameters["atoms"])


def fold(parameters: Parameters, mean: Float[Tensor, " d_act"], scale: float, penalty: Penalty) -> Dictionary:
    """Codes in the units of x: scale * relu(z D^T + b) = relu((x - mean) D^T + scale * b)."""
    atoms = parameters["atoms"].clone()
    return Dictionary(
        encoder=atoms,
        bias=parameters["bias"] * scale,
        decoder=atoms,
        centre=mean.clone(),
        gain=torch.ones(len(atoms)),
    )

"""Vectors made from a dictionary that is known."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Planted:
    """x = codes @ atoms + noise: `active` of the atoms on average, their codes uniform between 0 and 1."""

    atoms: Tensor
    x: Tensor
    codes: Tensor


def plant(rows: int = 60_000, d_act: int = 64, n_feat: int = 256, active: int = 5, noise: float = 0.02) -> Planted:
    generator = torch.Generator().manual_seed(17)
    atoms = torch.nn.functional.normalize(torch.randn(n_feat, d_act, generator=generator), dim=1)
    on = torch.rand(rows, n_feat, generator=generator) < active / n_feat
    codes = on * torch.rand(rows, n_feat, generator=generator)
    x = codes @ atoms + noise * torch.randn(rows, d_act, generator=generator)
    return Planted(atoms, x, codes)

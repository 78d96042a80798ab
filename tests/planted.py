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


@dataclass(frozen=True)
class Step:
    """From one place to another: y = 20 * codes @ atoms + x @ skip + 7, where x has the codes with atoms of its own."""

    read: Planted
    atoms: Tensor
    skip: Tensor
    y: Tensor

    def written(self, beside: Tensor | None = None) -> Tensor:
        """The directions that codes are to write, where a map `beside` them is trained and does what it can."""
        skip = self.skip if beside is None else self.skip - beside
        return torch.nn.functional.normalize(20 * self.atoms + self.read.atoms @ skip, dim=1)

    @property
    def x(self) -> Tensor:
        return self.read.x


def plant(rows: int = 60_000, d_act: int = 64, n_feat: int = 256, active: int = 5, noise: float = 0.02) -> Planted:
    generator = torch.Generator().manual_seed(17)
    atoms = torch.nn.functional.normalize(torch.randn(n_feat, d_act, generator=generator), dim=1)
    on = torch.rand(rows, n_feat, generator=generator) < active / n_feat
    codes = on * torch.rand(rows, n_feat, generator=generator)
    x = codes @ atoms + noise * torch.randn(rows, d_act, generator=generator)
    return Planted(atoms, x, codes)


def plant_step(rows: int = 20_000, d_out: int = 24, linear: float = 0.0) -> Step:
    """Two of 64 atoms on average; linear: how large the random map from x is."""
    read, generator = plant(rows, d_act=32, n_feat=64, active=2), torch.Generator().manual_seed(3)
    atoms = torch.nn.functional.normalize(torch.randn(64, d_out, generator=generator), dim=1)
    skip = linear * torch.randn(32, d_out, generator=torch.Generator().manual_seed(4)) / 32**0.5
    return Step(read, atoms, skip, 20 * read.codes @ atoms + read.x @ skip + 7)

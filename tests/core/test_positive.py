"""Positive: its formula in numpy, directions without negative entries, and what it finds of such planted ones."""

import numpy as np
import torch

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from tests.core.of_the_original import OfTheOriginal, settings_of, trained, unit
from tests.planted import Planted

KIND = "positive"


def formula(p, z, l1):
    atoms, x = unit(p["atoms"]), z - p["start"]
    codes = np.maximum(x @ atoms.T + p["bias"], 0)
    mse = ((codes @ atoms + p["start"] - z) ** 2).mean()
    return mse + l1 * codes.sum() / len(z), mse, codes


class TestPositive(OfTheOriginal):
    kind, formula = KIND, staticmethod(formula)


def test_training_begins_with_the_wished_share_of_each_features_codes():
    z = torch.randn(200, 12, generator=torch.Generator().manual_seed(2))
    architecture = build(KIND, settings_of(KIND))
    parameters = architecture.init(36, 12, torch.Generator().manual_seed(0))
    architecture.begin(parameters, z, 0.1)
    codes = architecture.loss(parameters, {}, z, Penalty()).codes
    assert ((codes > 0).sum(0) - 20).abs().max() <= 1  # by rounding of another product


def planted_positive():
    """Directions of a few dimensions each, none negative, as what a ReLU leaves; vectors from -0.17 up, as GELU's."""
    generator = torch.Generator().manual_seed(3)
    atoms = torch.rand(96, 64, generator=generator) * (torch.rand(96, 64, generator=generator) < 0.1)
    atoms[torch.arange(96), torch.arange(96) % 64] += 0.5
    atoms = torch.nn.functional.normalize(atoms, dim=1)
    on = torch.rand(24_000, 96, generator=generator) < 3 / 96
    codes = on * torch.rand(24_000, 96, generator=generator)
    x = codes @ atoms - 0.17
    return Planted(atoms, x + 0.005 * torch.randn(24_000, 64, generator=generator), codes)


def test_most_planted_directions_without_negative_entries_are_found():
    member, found = trained(KIND, 4e-3, planted_positive())
    assert found["mmcs"] > 0.7
    assert found["fvu"] < 0.4
    assert float(member.parameters["atoms"].min()) > 0
    assert float(member.parameters["start"].abs().max()) > 0.01  # where vectors begin is learned

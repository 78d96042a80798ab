"""RICA: its formula in numpy, directions that stand twice, and independent directions that it finds."""

import numpy as np
import pytest
import torch

from sparse_coding.core.architectures import build
from sparse_coding.errors import BadInput
from tests.core.of_the_original import OfTheOriginal, settings_of, trained, unit
from tests.planted import Planted

KIND = "rica"


def formula(p, z, l1):
    """Of rows with lengths, w_i = g_i d_i: s = z W^T, z_hat = s W; a code is s_i ||w_i||."""
    rows = unit(p["atoms"]) * np.exp(p["log_length"])[:, None]
    s, w = z @ rows.T, settings_of(KIND)["smooth_below"]
    mse = ((s @ rows - z) ** 2).mean()
    huber = np.where(np.abs(s) < w, s**2 / (2 * w), np.abs(s) - w / 2)
    codes = s * np.exp(p["log_length"])
    return mse + l1 * huber.sum() / len(z), mse, np.maximum(np.concatenate([codes, -codes], axis=1), 0)


class TestRICA(OfTheOriginal):
    kind, formula = KIND, staticmethod(formula)


def test_an_odd_number_of_features_is_refused():
    with pytest.raises(BadInput, match=r"rica: found 7 features; wanted an even number"):
        build(KIND, settings_of(KIND)).init(7, 4, torch.Generator())


def test_independent_directions_are_found_and_half_of_all_codes_are_positive_whatever_the_penalty():
    """As many as dimensions, with signs: what ICA is for. The features are these twice."""
    generator = torch.Generator().manual_seed(3)
    atoms = torch.linalg.qr(torch.randn(32, 32, generator=generator))[0]
    codes = (torch.rand(24_000, 32, generator=generator) < 0.1) * torch.randn(24_000, 32, generator=generator)
    x = codes @ atoms + 0.01 * torch.randn(24_000, 32, generator=generator)
    twice = Planted(torch.cat([atoms, -atoms]), x, torch.cat([codes.relu(), (-codes).relu()], dim=1))
    for l1 in (0.0, 1e-2):  # without a penalty any basis does as well
        _, found = trained(KIND, l1, twice)
        assert found["l0"] == pytest.approx(32, abs=0.5)
        assert (found["mmcs"] > 0.99) == (l1 > 0)

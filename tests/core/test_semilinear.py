"""Semi-linear: its two layers in numpy, that it begins as the tied autoencoder, and what it finds."""

import numpy as np
import torch

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from tests.core.of_the_original import BeginsSparse, settings_of, trained, unit

KIND = "semilinear"


def formula(p, z, l1):
    hidden = np.maximum(z @ p["hidden"].T + p["hidden_bias"], 0)
    atoms, codes = unit(p["decoder"]), np.maximum(hidden @ p["encoder"].T + p["bias"], 0)
    mse = ((codes @ atoms - z) ** 2).mean()
    return mse + l1 * codes.sum() / len(z), mse, codes


class TestSemiLinear(BeginsSparse):
    kind, formula = KIND, staticmethod(formula)


def test_it_begins_as_the_tied_autoencoder():
    z = torch.randn(50, 12, generator=torch.Generator().manual_seed(2))
    ours, tied = build(KIND, settings_of(KIND)), build("tied", {})
    found = ours.loss(ours.init(36, 12, torch.Generator().manual_seed(0)), {}, z, Penalty(l1=1e-3))
    wanted = tied.loss(tied.init(36, 12, torch.Generator().manual_seed(0)), {}, z, Penalty(l1=1e-3))
    torch.testing.assert_close(found, wanted)


def test_a_planted_dictionary_is_found():
    _, found = trained(KIND, 4e-3)
    assert found["mmcs"] > 0.9
    assert 4 < found["l0"] < 9

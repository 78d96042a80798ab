"""Reverse: its formula in numpy, the L0 that its decay leads to, and what it finds of a planted dictionary."""

import numpy as np
import pytest
import torch

from sparse_coding.core.architectures import build
from tests.core.of_the_original import NOTHING, BeginsSparse, settings_of, trained, unit

KIND = "reverse"


def formula(p, z, l1):
    atoms = unit(p["atoms"])
    m = z @ atoms.T + p["bias"]
    codes = np.where(m > 0, m - p["bias"], 0)
    mse = ((codes @ atoms - z) ** 2).mean()
    decay = settings_of(KIND)["bias_decay"] * np.sqrt((p["bias"] ** 2).sum())
    return mse + l1 * np.maximum(m, 0).sum() / len(z) + decay, mse, codes


class TestReverse(BeginsSparse):
    kind, formula = KIND, staticmethod(formula)


def test_no_bias_is_above_0_so_that_no_code_is_negative():
    architecture = build(KIND, settings_of(KIND))
    parameters = architecture.init(8, 4, torch.Generator().manual_seed(0))
    parameters["bias"].copy_(torch.linspace(-1, 1, 8))
    architecture.after(parameters, {}, NOTHING)
    assert torch.equal(parameters["bias"], torch.linspace(-1, 1, 8).clamp(max=0))


def test_l0_settles_where_penalty_and_decay_are_even():
    """l1 * P(feature i fires) = decay * |b_i| / ||b||: with equal biases L0 is decay * sqrt(n_feat) / l1."""
    for l1, decay in ((1e-3, 3e-4), (4e-4, 3e-4)):
        _, found = trained(KIND, l1, bias_decay=decay)
        assert found["l0"] == pytest.approx(decay * 256**0.5 / l1, rel=0.1)
        assert found["mmcs"] > (0.7 if found["l0"] < 6 else 0.45)  # as many as were planted, or more than twice that

"""Reverse: its formula in numpy, the L0 that its decay leads to, and what it finds of a planted dictionary."""

import numpy as np
import pytest
import torch

from sparse_coding.core.architectures import build
from tests.core.of_the_original import (
    NOTHING,
    check_begin,
    check_bytes,
    check_fold,
    check_loss,
    settings_of,
    trained,
    unit,
)

KIND = "reverse"


def formula(p, z, l1):
    atoms = unit(p["atoms"])
    m = z @ atoms.T + p["bias"]
    codes = np.where(m > 0, m - p["bias"], 0)
    mse = ((codes @ atoms - z) ** 2).mean()
    decay = settings_of(KIND)["bias_decay"] * np.sqrt((p["bias"] ** 2).sum())
    return mse + l1 * np.maximum(m, 0).sum() / len(z) + decay, mse, codes


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_and_its_slopes_are_those_of_the_formula(seed):
    check_loss(KIND, formula, seed)


def test_what_is_saved_is_what_was_trained(tmp_path):
    check_fold(KIND, tmp_path)


def test_before_the_first_step_the_wished_share_of_codes_is_positive():
    check_begin(KIND)


def test_the_bytes_do_not_hang_on_company_or_breaks():
    check_bytes(KIND)


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

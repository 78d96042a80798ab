"""Thresholding: the formula of the original's code in numpy, and what it finds of a planted dictionary."""

import numpy as np
import pytest

from tests.core.of_the_original import check_begin, check_bytes, check_fold, check_loss, trained, unit

KIND = "thresholding"


def formula(p, z, l1):
    """As the original writes the activation, of u = m / theta."""
    atoms, theta = unit(p["atoms"]), np.exp(p["log_threshold"])
    u = (z @ atoms.T + p["bias"]) / theta
    codes = theta * (np.clip(60 * (u - 0.9), 0, 6) / 6 + np.maximum(u - 1, 0))
    mse = ((codes @ atoms - z) ** 2).mean()
    return mse + l1 * codes.sum() / len(z), mse, codes


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_and_its_slopes_are_those_of_the_originals_formula(seed):
    check_loss(KIND, formula, seed)


def test_what_is_saved_is_what_was_trained(tmp_path):
    check_fold(KIND, tmp_path)


def test_before_the_first_step_the_wished_share_of_codes_is_positive():
    check_begin(KIND)


def test_the_bytes_do_not_hang_on_company_or_breaks():
    check_bytes(KIND)


def test_a_planted_dictionary_is_found():
    member, found = trained(KIND, 4e-3)
    assert found["mmcs"] > 0.9
    assert 4 < found["l0"] < 8
    assert float(member.parameters["log_threshold"].std()) > 0.05  # thresholds learn

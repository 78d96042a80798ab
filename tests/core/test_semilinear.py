"""Semi-linear: its two layers in numpy, that it begins as the tied autoencoder, and what it finds."""

import numpy as np
import pytest
import torch

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from tests.core.of_the_original import check_begin, check_bytes, check_fold, check_loss, settings_of, trained, unit

KIND = "semilinear"


def formula(p, z, l1):
    hidden = np.maximum(z @ p["hidden"].T + p["hidden_bias"], 0)
    atoms, codes = unit(p["decoder"]), np.maximum(hidden @ p["encoder"].T + p["bias"], 0)
    mse = ((codes @ atoms - z) ** 2).mean()
    return mse + l1 * codes.sum() / len(z), mse, codes


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_and_its_slopes_are_those_of_the_formula(seed):
    check_loss(KIND, formula, seed)


def test_what_is_saved_is_what_was_trained(tmp_path):
    check_fold(KIND, tmp_path)


def test_before_the_first_step_the_wished_share_of_codes_is_positive():
    check_begin(KIND)


def test_the_bytes_do_not_hang_on_company_or_breaks():
    check_bytes(KIND)


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

"""Thresholding: the formula of the original's code in numpy, and what it finds of a planted dictionary."""

import numpy as np

from tests.core.of_the_original import BeginsSparse, trained, unit

KIND = "thresholding"


def formula(p, z, l1):
    """As the original writes the activation, of u = m / theta."""
    atoms, theta = unit(p["atoms"]), np.exp(p["log_threshold"])
    u = (z @ atoms.T + p["bias"]) / theta
    codes = theta * (np.clip(60 * (u - 0.9), 0, 6) / 6 + np.maximum(u - 1, 0))
    mse = ((codes @ atoms - z) ** 2).mean()
    return mse + l1 * codes.sum() / len(z), mse, codes


class TestThresholding(BeginsSparse):
    kind, formula = KIND, staticmethod(formula)


def test_a_planted_dictionary_is_found():
    member, found = trained(KIND, 4e-3)
    assert found["mmcs"] > 0.9
    assert 4 < found["l0"] < 8
    assert float(member.parameters["log_threshold"].std()) > 0.05  # thresholds learn

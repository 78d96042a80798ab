"""LISTA: its layers in numpy, against scikit-learn's non-negative lasso, and what it finds that one layer does not."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso

from sparse_coding.core.activations import unrolled
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from tests.core.of_the_original import OfTheOriginal, case, settings_of, trained, unit

KIND = "lista"


def formula(p, z, l1):
    """Layer by layer, each from its own line of the docstring; codes before the first layer are 0."""
    atoms, before, codes = unit(p["decoder"]), np.zeros((len(z), len(p["bias"]))), np.zeros((len(z), len(p["bias"])))
    for _ in range(settings_of(KIND)["layers"]):
        ahead = codes + p["momentum"] * (codes - before)
        before, codes = codes, np.maximum(ahead + (z - ahead @ atoms) @ p["encoder"].T + p["bias"], 0)
    mse = ((codes @ atoms - z) ** 2).mean()
    return mse + l1 * codes.sum() / len(z), mse, codes


class TestLISTA(OfTheOriginal):
    kind, formula = KIND, staticmethod(formula)


def test_before_the_first_step_the_wished_share_of_codes_of_the_first_layer_is_positive():
    z = torch.randn(200, 12, generator=torch.Generator().manual_seed(2))
    architecture = build(KIND, settings_of(KIND) | {"layers": 1})
    parameters = architecture.init(36, 12, torch.Generator().manual_seed(0))
    architecture.begin(parameters, z, 0.1)
    codes = architecture.loss(parameters, {}, z, Penalty()).codes
    assert float((codes > 0).float().mean()) == pytest.approx(0.1, rel=0.03)


def test_one_layer_is_the_relu_of_untied():
    architecture, parameters, z = case(KIND, 1)
    made = architecture.fold(
        {name: each.float() for name, each in parameters.items()}, {}, torch.zeros(8), 1.0, Penalty()
    )
    one, relu = replace(made, iterations=1), replace(made, activation="relu", iterations=None, momentum=None)
    torch.testing.assert_close(one.encode(z.float()), relu.encode(z.float()))


def test_many_layers_of_the_weights_of_ista_solve_the_lasso():
    """Which is what they unroll: scikit-learn's answer, by coordinate descent."""
    generator = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(30, 10, generator=generator, dtype=torch.float64), dim=1)
    z, threshold = torch.randn(6, 10, generator=generator, dtype=torch.float64), 0.2
    largest = float(torch.linalg.eigvalsh(atoms @ atoms.T)[-1])
    bias = torch.full((30,), -threshold / largest, dtype=torch.float64)
    for momentum, layers in ((0.0, 4000), (0.9, 800)):
        found = unrolled(z, atoms / largest, bias, atoms, layers, momentum)
        lasso = Lasso(alpha=threshold / 10, positive=True, fit_intercept=False, tol=1e-12, max_iter=100_000)
        for codes, row in zip(found.numpy(), z.numpy(), strict=True):
            np.testing.assert_allclose(codes, lasso.fit(atoms.T.numpy(), row).coef_, atol=1e-3)


def test_a_planted_dictionary_is_found_and_layers_explain_more():
    _, three = trained(KIND, 4e-3)
    _, one = trained(KIND, 4e-3, layers=1)
    assert three["mmcs"] > 0.95
    assert three["fvu"] < 0.85 * one["fvu"]

"""What an architecture adds to the step that all share: its folding. The steps: test_steps.py."""

import pytest
import torch

from sparse_coding.core.architectures.contract import Penalty
from tests.architectures import BY_NAME
from tests.reference import paper_loss, random_parameters


@pytest.mark.parametrize("name", BY_NAME)
def test_folding_gives_the_same_codes_on_raw_activations(name):
    parameters = {key: value.float() for key, value in random_parameters(name, 24, 8, 3).items()}
    mean, scale, penalty = torch.randn(8), 7.5, Penalty(0.01, 4)
    x = mean + scale * torch.randn(50, 8)
    _, mse, codes = paper_loss(name, parameters, (x - mean) / scale, penalty)
    dictionary = BY_NAME[name].fold(parameters, {}, mean, scale, penalty)
    torch.testing.assert_close(dictionary.encode(x), scale * codes, rtol=1e-4, atol=1e-4)
    residual = dictionary.reconstruct(x) - x
    torch.testing.assert_close(residual.square().mean() / scale**2, mse, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(dictionary.atoms.norm(dim=1), torch.ones(24))

"""Hand-derived gradients against float64 autograd of the loss as the papers write it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core.architectures import BY_NAME
from sparse_coding.core.architectures.contract import Penalty
from tests.reference import paper_loss


def random_parameters(name, n_feat, d_act, seed):
    """Parameters away from their initial values: zero biases hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    parameters = BY_NAME[name].init(n_feat, d_act, generator)
    for key, value in parameters.items():
        value.add_(0.3 * torch.randn(value.shape, generator=generator) / d_act**0.5)
        parameters[key] = value.double()
    BY_NAME[name].constrain(parameters)
    return parameters


@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n_feat=st.integers(1, 40),
    d_act=st.integers(2, 20),
    batch=st.integers(1, 30),
    l1=st.floats(0, 0.1),
)
def test_gradients_are_those_of_autograd(name, seed, n_feat, d_act, batch, l1):
    parameters = random_parameters(name, n_feat, d_act, seed)
    z = torch.randn(batch, d_act, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)
    penalty = Penalty(l1=l1, k=3)

    leaves = {key: value.clone().requires_grad_() for key, value in parameters.items()}
    loss, mse, codes = paper_loss(name, leaves, z, penalty)
    loss.backward()
    seen = BY_NAME[name].gradients(parameters, z, penalty)

    torch.testing.assert_close(seen.mse, mse.detach())
    torch.testing.assert_close(seen.codes, codes.detach())
    torch.testing.assert_close(seen.l1_norm, codes.detach().sum(1).mean())
    for key, leaf in leaves.items():
        torch.testing.assert_close(seen.parameters[key], leaf.grad, rtol=1e-9, atol=1e-12, msg=f"{name} {key}")


@pytest.mark.parametrize("name", BY_NAME)
def test_gradients_leave_batch_and_parameters_as_they_were(name):
    parameters = random_parameters(name, 12, 8, 0)
    before = {key: value.clone() for key, value in parameters.items()}
    z = torch.randn(5, 8, dtype=torch.float64)
    z_before = z.clone()
    BY_NAME[name].gradients(parameters, z, Penalty(0.01, 3))
    torch.testing.assert_close(z, z_before, rtol=0, atol=0)
    torch.testing.assert_close(parameters, before, rtol=0, atol=0)


@pytest.mark.parametrize("name", BY_NAME)
def test_folding_gives_the_same_codes_on_raw_activations(name):
    parameters = {key: value.float() for key, value in random_parameters(name, 24, 8, 3).items()}
    mean, scale, penalty = torch.randn(8), 7.5, Penalty(0.01, 4)
    x = mean + scale * torch.randn(50, 8)
    seen = BY_NAME[name].gradients(parameters, (x - mean) / scale, penalty)
    dictionary = BY_NAME[name].fold(parameters, mean, scale, penalty)
    torch.testing.assert_close(dictionary.encode(x), scale * seen.codes, rtol=1e-4, atol=1e-4)
    residual = dictionary.reconstruct(x) - x
    torch.testing.assert_close(residual.square().mean() / scale**2, seen.mse, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(dictionary.atoms.norm(dim=1), torch.ones(24))

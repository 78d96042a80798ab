"""One step, dense and sparse, against float64 autograd of the loss as the papers write it.

After the first step Adam's first moment is (1 - beta1) times the gradient: there the gradient of a step that keeps none
can be read.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core import finder
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.steps import dense, sparse, workspace
from tests.architectures import BY_NAME
from tests.reference import paper_loss, random_parameters

BETA1 = 0.5
SIZES = {"n_feat": st.integers(1, 300), "d_act": st.integers(1, 40), "batch": st.integers(1, 40)}


def run_step(kind, name, parameters, z, penalty):
    """What was seen, and the gradients, of one step from a copy of `parameters`; "int8" and "float32" are screens."""
    adam = Adam({key: value.clone() for key, value in parameters.items()}, BETA1, 0.999, 1e-8)
    if kind == "dense":
        seen = dense.step(BY_NAME[name].form, adam, {}, z, penalty, 1e-3)
    else:
        form = BY_NAME[name].form
        space = workspace.Workspace(len(z), z.shape[1], len(parameters["bias"]))
        seen = sparse.step(form, adam, {}, z, penalty, 1e-3, space, finder.Screen(int8=kind == "int8"))
    return seen, {key: value / (1 - BETA1) for key, value in adam.first.items()}, adam.parameters


def autograd(name, parameters, z, penalty):
    leaves = {key: value.double().clone().requires_grad_() for key, value in parameters.items()}
    loss, mse, codes = paper_loss(name, leaves, z.double(), penalty)
    loss.backward()
    return mse.detach(), codes.detach(), {key: leaf.grad for key, leaf in leaves.items()}


def data(seed, n_feat, d_act, batch):
    return torch.randn(batch, d_act, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)


@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), l1=st.floats(0, 0.1), **SIZES)
def test_dense_gradients_in_float64_are_those_of_autograd(name, seed, l1, n_feat, d_act, batch):
    parameters, z = random_parameters(name, n_feat, d_act, seed), data(seed, n_feat, d_act, batch)
    penalty = Penalty(l1=l1, k=3)
    mse, codes, wanted = autograd(name, parameters, z, penalty)
    seen, gradients, _ = run_step("dense", name, parameters, z, penalty)
    assert seen.mse == pytest.approx(float(mse))
    assert seen.l1_norm == pytest.approx(float(codes.sum(1).mean()))
    assert seen.l0 == pytest.approx(float((codes > 0).sum(1).double().mean()))
    torch.testing.assert_close(gradients, wanted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["dense", "int8", "float32"])
@pytest.mark.parametrize("name", BY_NAME)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), l1=st.floats(0, 0.1), **SIZES)
def test_gradients_are_those_of_autograd(name, kind, seed, l1, n_feat, d_act, batch):
    parameters, z = sparse_case(name, seed, n_feat, d_act, batch)
    penalty = Penalty(l1=l1, k=max(1, n_feat // 10))
    mse, codes, wanted = autograd(name, parameters, z, penalty)
    seen, gradients, _ = run_step(kind, name, parameters, z, penalty)
    if seen is None:  # more codes than a sparse step has room for
        assert codes.count_nonzero() > 0.1 * codes.numel() or codes.numel() < 100
        return
    if seen.l0 * batch != codes.count_nonzero():  # a pre-activation within rounding of 0
        return
    # What is left of one dimension may be next to nothing beside what is put together.
    assert seen.mse == pytest.approx(float(mse), rel=1e-5, abs=1e-6 * float(z.square().mean()))
    assert seen.l1_norm == pytest.approx(float(codes.sum(1).mean()), rel=1e-5, abs=1e-7)
    # Sums may cancel, and projection nearly all of a gradient: it is as exact as its terms are large.
    for key, size in terms(name, parameters, z, penalty, codes).items():
        atol = max(2e-6 * max(size, largest_of(wanted)), 1e-9)
        torch.testing.assert_close(gradients[key].double(), wanted[key], rtol=0, atol=atol, msg=key)


def largest_of(gradients):
    return max(gradient.abs().max() for gradient in gradients.values())


def terms(name, parameters, z, penalty, codes):
    """The largest sum of the magnitudes of what a gradient is the sum of, for each parameter."""
    form, size = BY_NAME[name].form, {key: value.double().abs() for key, value in parameters.items()}
    x = z.double().abs() + (size[form.centre] if form.centre else 0)
    d_x_hat = (codes @ size[form.decoder] + x) * 2 / z.numel()
    d_pre = (d_x_hat @ size[form.decoder].T + (0 if form.keeps_largest else penalty.l1 / len(z))) * (codes > 0)
    d_bias, d_encoder, d_decoder = d_pre.sum(0), d_pre.T @ x, codes.T @ d_x_hat
    found = {form.bias: d_bias, form.encoder: d_encoder}
    found[form.decoder] = d_decoder + d_encoder if form.tied else d_decoder
    if form.centre:
        found[form.centre] = d_x_hat.sum(0) + d_bias @ size[form.encoder]
    return {key: value.max() for key, value in found.items()}


def sparse_case(name, seed, n_feat, d_act, batch):
    """Parameters with about one code in twenty positive."""
    parameters, z = random_parameters(name, n_feat, d_act, seed), data(seed, n_feat, d_act, batch)
    parameters["bias"] -= 1.8 * d_act**0.5
    return {key: value.float() for key, value in parameters.items()}, z.float()


@pytest.mark.parametrize("name", BY_NAME)
def test_gradients_at_the_size_of_a_small_model(name):
    """d 512, 2048 features, L0 about 50: entries differ by less than 2e-6 of the largest one."""
    generator = torch.Generator().manual_seed(0)
    parameters = BY_NAME[name].init(2048, 512, generator)
    z = torch.randn(256, 512, generator=generator) / 512**0.5
    parameters["bias"] -= 1.97 / 512**0.5
    penalty = Penalty(1e-3, 50)
    _, codes, wanted = autograd(name, parameters, z, penalty)
    for kind in ("dense", "int8", "float32"):
        seen, gradients, _ = run_step(kind, name, parameters, z, penalty)
        assert seen.l0 * 256 == codes.count_nonzero()
        for key, gradient in wanted.items():
            assert (gradients[key] - gradient).abs().max() < 2e-6 * gradient.abs().max(), (kind, key)


@pytest.mark.parametrize("name", BY_NAME)
def test_both_screens_give_the_same_bytes(name):
    parameters, z = sparse_case(name, 5, 300, 40, 60)
    results = [run_step(kind, name, parameters, z, Penalty(1e-3, 12)) for kind in ("int8", "float32")]
    assert results[0][0] == results[1][0]
    for one, other in zip(results[0][1:], results[1][1:], strict=True):
        assert all(one[key].numpy().tobytes() == other[key].numpy().tobytes() for key in one)


@pytest.mark.parametrize("name", BY_NAME)
def test_atoms_stay_on_the_sphere_and_the_batch_as_it_was(name):
    parameters, z = sparse_case(name, 7, 300, 40, 60)
    before = z.clone()
    for kind in ("dense", "int8"):
        _, _, moved = run_step(kind, name, parameters, z, Penalty(1e-3, 12))
        torch.testing.assert_close(moved[BY_NAME[name].form.decoder].norm(dim=1), torch.ones(300))
        assert torch.equal(z, before)


def test_a_sparse_step_that_has_no_room_moves_nothing():
    parameters = {key: value.float() for key, value in random_parameters("untied", 100, 10, 0).items()}
    z = data(0, 100, 10, 20).float()
    seen, gradients, moved = run_step("int8", "untied", parameters, z, Penalty(1e-3))
    assert seen is None
    assert not any(gradient.any() for gradient in gradients.values())
    torch.testing.assert_close(moved, parameters, rtol=0, atol=0)


@pytest.mark.parametrize("place", ["bias", "encoder", "z"])
def test_what_is_not_finite_is_seen(place):
    parameters, z = sparse_case("untied", 3, 100, 10, 20)
    (z if place == "z" else parameters[place]).view(-1)[3] = float("nan")
    for kind in ("dense", "int8", "float32"):
        assert np.isnan(run_step(kind, "untied", parameters, z, Penalty(1e-3))[0].mse)

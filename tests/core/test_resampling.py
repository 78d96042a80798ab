"""Resampling: who is drawn, what a new feature is, who counts as dead, and that dead ones come back."""

import numpy as np
import pytest
import torch

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training import gpu, processor
from sparse_coding.core.training.choices import Choices
from sparse_coding.core.training.resampling import QUIET, Resampling, draw, losses, resample
from sparse_coding.core.training.trainee import Schedule, Trainee
from tests.architectures import ADAM
from tests.core.test_gpu import DEVICE, fed
from tests.planted import plant

KINDS = ("tied", "untied", "gated")


def test_vectors_are_drawn_by_the_squares_of_their_losses_each_once():
    loss = torch.tensor([1.0, 2.0, 0.0, 3.0])
    drawn = [draw(loss, 3, seed, step).tolist() for seed in range(40) for step in range(100)]
    assert all(sorted(each) == [0, 1, 3] for each in drawn)  # never without a loss, and no fewer than asked for
    shares = np.bincount([each[0] for each in drawn], minlength=4) / len(drawn)
    np.testing.assert_allclose(shares, np.array([1, 4, 0, 9]) / 14, atol=0.03)
    second = np.bincount([each[1] for each in drawn if each[0] == 3], minlength=4)
    np.testing.assert_allclose(second / second.sum(), np.array([1, 4, 0, 0]) / 5, atol=0.04)
    assert draw(loss, 9, 0, 0).tolist() == draw(loss, 3, 0, 0).tolist()


def case(kind):
    made, generator = build(kind, {}), torch.Generator().manual_seed(1)
    parameters = made.init(12, 5, generator)
    parameters = {
        name: value + 0.1 * torch.randn(value.shape, generator=generator) for name, value in parameters.items()
    }
    rows = "atoms" if kind == "tied" else "decoder"
    parameters[rows] = torch.nn.functional.normalize(parameters[rows], dim=1)
    return made, parameters, torch.randn(40, 5, generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_a_loss_is_that_of_training_a_vector_at_a_time(kind):
    made, parameters, z = case(kind)
    found = losses(made, parameters, {}, z, Penalty(l1=0.3))
    for row, loss in zip(z, found, strict=True):
        terms = made.loss(parameters, {}, row[None], Penalty(l1=0.3))
        torch.testing.assert_close(loss, terms.mse + 0.3 * terms.codes.sum())


@pytest.mark.parametrize("kind", KINDS)
def test_new_features_are_those_of_the_recipe_and_no_other_moves(kind):
    made, parameters, z = case(kind)
    before = {name: value.clone() for name, value in parameters.items()}
    moments = {name: torch.ones_like(value) for name, value in parameters.items()}
    state, dead = {QUIET: torch.full((12,), 9)}, torch.tensor([2, 7, 11])
    chosen = draw(losses(made, parameters, {}, z, Penalty(l1=0.1)), 3, 5, 60)
    assert resample(made, (parameters, state, [moments]), dead, z, Penalty(l1=0.1), (5, 60)) == 3
    x = (z[chosen] - (0 if kind == "tied" else parameters["decoder_bias"])).numpy()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    others = [row for row in range(12) if row not in dead]
    wanted = {"atoms": unit, "decoder": unit, "gate_bias": 0, "magnitude_bias": 0, "log_scale": 0}
    wanted["bias"] = -0.8 * np.linalg.norm(x, axis=1) if kind == "tied" else 0
    if kind != "tied":
        wanted["encoder"] = 0.2 * unit * np.linalg.norm(before["encoder"].numpy()[others], axis=1).mean()
    for name, value in parameters.items():
        if name == "decoder_bias":
            assert torch.equal(value, before[name])
            assert moments[name].all()
            continue
        np.testing.assert_allclose(value[dead].numpy(), np.broadcast_to(wanted[name], value[dead].shape), rtol=1e-5)
        assert torch.equal(value[others], before[name][others])
        assert not moments[name][dead].any()
        assert moments[name][others].all()
    assert state[QUIET].tolist() == [0 if row in dead else 9 for row in range(12)]


def trained(kind, resampling, on_a_gpu=False, clip_norm=None, steps=200):
    """Half of the features are dead at first; planted vectors."""
    x = plant(rows=128 * steps, d_act=32, n_feat=64).x
    batches = list((x / x.norm(dim=1).mean()).split(128))
    schedule = Schedule(steps, lr=1e-2, warmup=5, decay=50, l1_warmup=20)
    choices = Choices(clip_norm=clip_norm, resampling=resampling)
    member = Trainee(kind, build(kind, {}), (64, 32), Penalty(l1=2e-3), 0, schedule, ADAM, 1, 0.1, choices)
    member._begins_sparse = False
    for name in ("bias", "gate_bias", "magnitude_bias"):
        if name in member.parameters:
            member.parameters[name][::2] = -1e3
    if on_a_gpu:
        assert gpu.train([member], fed(batches), DEVICE) == {}
    else:
        processor.train([member], iter(batches), threads=1)
    codes = member.architecture.fold(member.parameters, member.state, torch.zeros(32), 1.0, member.penalty).encode(
        x[-9000:]
    )
    return member, int((codes > 0).any(0).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_are_dead_at_first_come_back(kind):
    every = Resampling(50, 20, 100)
    without, alive = trained(kind, None)
    assert alive <= 32
    member, alive = trained(kind, every)
    assert alive > 55
    assert next((line["step"], line["resampled"]) for line in member.log if "resampled" in line) == (50, 32)
    assert member.log[-1]["mse"] < 0.9 * without.log[-1]["mse"]
    stacked, there = trained(kind, every, on_a_gpu=True)
    assert there > 55
    assert [line["step"] for line in stacked.log] == [line["step"] for line in member.log]


@pytest.mark.parametrize("kind", ["tied", "untied"])
def test_every_kind_of_step_counts_the_same_silence(kind):
    never = Resampling(1000, 20, 1000)
    counted = [trained(kind, never, steps=25, **how)[0] for how in ({}, {"clip_norm": 1e9}, {"on_a_gpu": True})]
    for member in counted:
        quiet = member.state[QUIET]
        assert (quiet[::2] == 25).all()
        assert float((quiet == counted[0].state[QUIET]).double().mean()) > 0.95  # but where a code is near 0
        assert quiet[1::2].float().mean() < 5

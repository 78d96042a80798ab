"""Gradients that are clipped: torch's own, and a training that follows it, by every kind of step."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training import gpu, processor
from sparse_coding.core.training.choices import Choices
from sparse_coding.core.training.clipping import clipped
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.steps import general
from sparse_coding.core.training.trainee import Schedule, Trainee
from tests.architectures import ADAM, ALL, BY_NAME, PAIRS
from tests.core.test_gpu import DEVICE, fed
from tests.core.test_processor import stream
from tests.core.test_steps import autograd, data
from tests.reference import random_parameters


@settings(deadline=None)
@given(seed=st.integers(0, 1000), norm=st.floats(1e-6, 1e3), size=st.floats(1e-6, 1e3))
def test_slopes_are_scaled_as_by_torch(seed, norm, size):
    generator = torch.Generator().manual_seed(seed)
    slopes = [size * torch.randn(shape, generator=generator) for shape in ((5, 3), (5,), (2, 2))]
    leaves = [torch.nn.Parameter(torch.zeros_like(slope)) for slope in slopes]
    for leaf, slope in zip(leaves, slopes, strict=True):
        leaf.grad = slope.clone()
    torch.nn.utils.clip_grad_norm_(leaves, norm)
    torch.testing.assert_close(clipped(slopes, norm), [leaf.grad for leaf in leaves])


@pytest.mark.parametrize("name", BY_NAME)
def test_a_step_moves_by_the_clipped_gradient(name):
    """The first moment of Adam is the gradient times 1 - beta1: that of autograd, scaled to the norm."""
    parameters, z = random_parameters(name, 30, 12, 0), data(0, 30, 12, 20)
    penalty = Penalty(l1=0.3, k=5)
    _, _, wanted = autograd(name, parameters, z, penalty)
    whole = torch.cat([slope.flatten() for slope in wanted.values()]).norm()
    for norm in (0.1 * float(whole), 10 * float(whole)):
        adam = Adam({key: value.clone() for key, value in parameters.items()}, 0.5, 0.999, 1e-8)
        general.step(BY_NAME[name], adam, {}, z, penalty, 1e-3, norm)
        for key, slope in wanted.items():
            expected = slope * min(norm / float(whole), 1.0)
            torch.testing.assert_close(adam.first[key] * 2, expected, rtol=1e-4, atol=1e-9)


def member(name, clip_norm):
    schedule = Schedule(steps=60, lr=1e-2, warmup=5, decay=20, l1_warmup=10)
    penalty = Penalty(l1=1e-3, k=4, l0=4.0)
    architecture = build(name, PAIRS[name], 20) if name in PAIRS else ALL[name]
    return Trainee(name, architecture, (96, 32), penalty, 0, schedule, ADAM, 1, 0.1, Choices(clip_norm=clip_norm))


@pytest.mark.parametrize("name", ALL)
def test_a_norm_that_nothing_reaches_changes_no_loss_and_a_small_one_does(name):
    losses = {}
    for norm in (None, 1e6, 1e-9):
        trained = member(name, norm)
        processor.train([trained], iter(stream()), threads=1)
        losses[norm] = [line["loss"] for line in trained.log]
    assert losses[1e6][:8] == pytest.approx(losses[None][:8], rel=1e-2)  # later, choices of TopK flip
    assert losses[1e-9][-1] > 1.01 * losses[None][-1]  # Adam's epsilon is as large as what is left


def test_on_a_gpu_it_is_not_left_out():
    there, here = member("untied", 1e-9), member("untied", 1e-9)
    processor.train([here], iter(stream()), threads=1)
    assert gpu.train([there], fed(), DEVICE) == {}
    assert [line["loss"] for line in there.log] == pytest.approx([line["loss"] for line in here.log], rel=1e-4)

"""Training as the original's code did it, against autograd and a model of its optimiser."""

from functools import partial
from itertools import product
from unittest.mock import patch

import pytest
import torch

from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.architectures.original import Original
from sparse_coding.core.training import gpu, processor
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.steps import sparse
from sparse_coding.core.training.trainee import Schedule, Trainee
from tests import legacy_adam
from tests.architectures import ADAM, BY_NAME
from tests.planted import plant
from tests.reference import ATOMS, paper_loss

FLAT = Schedule(steps=60, lr=1e-3, warmup=0, decay=0, l1_warmup=0)


PENALTY = Penalty(1e-2, 4)
LEGACY = partial(Adam, beta1=0.9, beta2=0.999, eps=1e-8, legacy=True)


def member(name, penalty=PENALTY, shape=(96, 32), schedule=FLAT, free_lengths=True, legacy=True):
    architecture = Original(BY_NAME[name], xavier=True, free_lengths=free_lengths, centred=False)
    return Trainee(name, architecture, shape, penalty, 0, schedule, LEGACY if legacy else ADAM, 1)


def stream(steps=60, batch=128, d_act=32):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(batch, d_act, generator=generator) + 0.3 for _ in range(steps)]


def train_as_the_original(ours, batches):
    """Losses and parameters in float64: rows are divided by their norm in the loss, and free."""
    raw = {key: value.double().clone() for key, value in ours.parameters.items()}
    raw[ATOMS[ours.name]] *= ours.state["lengths"].double()[:, None]
    moving = dict(raw)
    if ours.name != "tied":  # around a centre that stays 0
        raw["decoder_bias"] = torch.zeros(len(batches[0][0]), dtype=torch.float64)
    state, losses = legacy_adam.begin(moving.values()), []
    for batch in batches:
        leaves = {key: value.clone().requires_grad_() for key, value in raw.items()}
        loss = paper_loss(ours.name, leaves, batch.double(), ours.penalty)[0]
        gradients = torch.autograd.grad(loss, [leaves[key] for key in moving])
        legacy_adam.step(moving.values(), gradients, state, ours.schedule.lr)
        losses.append(loss.item())
    return raw, torch.tensor(losses, dtype=torch.float64)


def losses_of(ours):
    return torch.tensor([line["loss"] for line in ours.log], dtype=torch.float64)


# Steps in rates under a constant gradient, as they were measured with the original's own ensemble.
MEASURED = {1: 1.00, 2: 1.34, 5: 1.83, 12: 2.08, 20: 1.97, 50: 1.42, 100: 1.03, 500: 0.50, 1000: 0.40, 2000: 0.34}


def test_the_frozen_count_moves_as_was_measured():
    value, lr = torch.zeros(1, dtype=torch.float64), 1e-3
    adam = Adam({"value": value}, 0.9, 0.999, 1e-12, legacy=True)
    for step in range(1, 20_001):
        before = value.item()
        adam.move("value", torch.ones(1, dtype=torch.float64), adam.begin(lr))
        if step in MEASURED:
            assert (before - value.item()) / lr == pytest.approx(MEASURED[step], abs=0.006), step
    assert (before - value.item()) / lr == pytest.approx(10**0.5 / 10, rel=1e-6)  # what it ends at


@pytest.mark.parametrize("seed", range(3))
def test_every_step_is_that_of_the_model_of_the_defect(seed):
    generator = torch.Generator().manual_seed(seed)
    ours = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    theirs = ours.clone()
    adam, state = Adam({"w": ours}, 0.9, 0.999, 1e-8, legacy=True), legacy_adam.begin([theirs])
    for step in range(300):
        gradient = torch.randn(5, 4, generator=generator, dtype=torch.float64) + 0.5
        adam.move("w", gradient, adam.begin(1e-2 * (1 + step % 3)))
        legacy_adam.step([theirs], [gradient], state, 1e-2 * (1 + step % 3))
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", BY_NAME)
def test_training_in_float64_follows_autograd_to_the_last_digits(name):
    ours = member(name)
    raw, losses = train_as_the_original(ours, stream())
    ours.parameters = {key: value.double() for key, value in ours.parameters.items()}
    ours.state = {key: value.double() for key, value in ours.state.items()}
    ours.optimiser = Adam(ours.parameters, 0.9, 0.999, 1e-8, legacy=True)
    processor.train([ours], (batch.double() for batch in stream()), threads=1)
    torch.testing.assert_close(losses_of(ours), losses, rtol=1e-7, atol=0)
    found = dict(ours.parameters)
    found[ATOMS[name]] = found[ATOMS[name]] * ours.state["lengths"][:, None]
    raw.pop("decoder_bias", None)
    torch.testing.assert_close(found, raw, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["tied", "untied"])
def test_300_steps_through_both_kinds_of_step_follow_autograd(name):
    x = plant(rows=256 * 300, d_act=64, n_feat=256).x
    batches = list((x / x.norm(dim=1).mean()).split(256))
    schedule = Schedule(steps=300, lr=5e-3, warmup=0, decay=0, l1_warmup=0)
    ours = member(name, Penalty(l1=3e-3), (256, 64), schedule)
    _, losses = train_as_the_original(ours, batches)
    with patch.object(sparse, "step", wraps=sparse.step) as sparse_step:
        processor.train([ours], iter(batches), threads=1)
    assert 100 < sparse_step.call_count < 300
    torch.testing.assert_close(losses_of(ours), losses, rtol=1e-3, atol=1e-9)
    assert (ours.state["lengths"] - 1).abs().max() > 0.05  # they took part


@pytest.mark.parametrize(("name", "free_lengths"), list(product(BY_NAME, [True, False])))
def test_a_stack_trains_what_the_ensemble_trains(name, free_lengths):
    one, other = (member(name, free_lengths=free_lengths) for _ in range(2))
    processor.train([one], iter(stream()), threads=1)
    assert gpu.train([other], iter(stream()), torch.device("cpu")) == {}
    rtol = 5e-3 if name == "topk" else 1e-4
    torch.testing.assert_close(losses_of(other), losses_of(one), rtol=rtol, atol=0)


def test_initial_weights_are_those_of_torch_and_lengths_are_kept_apart():
    ours = Original(BY_NAME["untied"], xavier=True, free_lengths=True, centred=True)
    parameters = ours.init(400, 100, torch.Generator().manual_seed(1))
    bound = (6 / 500) ** 0.5
    decoder = parameters["decoder"].clone()
    lengths = ours.state(parameters)["lengths"]
    torch.testing.assert_close(parameters["decoder"] * lengths[:, None], decoder)
    for each in (parameters["encoder"], decoder):
        assert each.abs().max() == pytest.approx(bound, rel=1e-3)
        assert each.square().mean() == pytest.approx(bound**2 / 3, rel=0.02)
    assert (parameters["encoder"] - decoder).abs().max() > bound  # drawn apart
    assert ours.form.centre == "decoder_bias"
    tied = Original(BY_NAME["tied"], xavier=True, free_lengths=False, centred=False)
    assert BY_NAME["tied"].init(9, 4, torch.Generator().manual_seed(1)).keys() == {"atoms", "bias"}
    assert tied.form == BY_NAME["tied"].form
    generator, plain = torch.Generator().manual_seed(1), BY_NAME["tied"]
    own = Original(plain, xavier=False, free_lengths=True, centred=True)
    same = own.init(9, 4, generator)
    torch.testing.assert_close(own.state(same)["lengths"], torch.ones(9))
    torch.testing.assert_close(same, plain.init(9, 4, torch.Generator().manual_seed(1)))


def test_lengths_do_not_enter_the_dictionary():
    ours = member("untied")
    processor.train([ours], iter(stream(3)), threads=1)
    x = torch.randn(20, 32)
    folded = ours.architecture.fold(ours.parameters, ours.state, torch.zeros(32), 1.0, ours.penalty)
    torch.testing.assert_close(folded.atoms.norm(dim=1), torch.ones(96))
    codes = torch.relu(x @ ours.parameters["encoder"].T + ours.parameters["bias"])
    torch.testing.assert_close(folded.encode(x), codes, rtol=1e-5, atol=1e-6)

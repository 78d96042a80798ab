"""A stack of members against the members one by one; on the processor, or on a GPU where there is one."""

import copy
from dataclasses import replace
from functools import partial
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Architecture, Penalty
from sparse_coding.core.architectures.jumprelu import JumpReLU
from sparse_coding.core.training import feed, gpu, processor
from sparse_coding.core.training.keeping import Keeping
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.steps import general, stacked
from sparse_coding.core.training.trainee import Schedule, Trainee
from tests.architectures import ADAM, BY_NAME
from tests.core.test_processor import member, stream
from tests.core.test_steps import autograd, data
from tests.core.test_thresholds import PENALTY, SIZES, WINDOW, by_autograd, case, check_seen, trained
from tests.made_up.momentum import Momentum
from tests.reference import random_parameters

JUMPRELU = build("jumprelu", {"bandwidth": 0.3, "l0_weight": 10.0})
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.mark.parametrize("name", BY_NAME)
def test_gradients_of_all_members_are_those_of_autograd(name):
    own = [random_parameters(name, 30, 12, seed) for seed in range(3)]
    penalties = [Penalty(1e-2, 1), Penalty(0.0, 5), Penalty(0.3, 50)]
    z = data(0, 30, 12, 20)
    together = {key: torch.stack([parameters[key] for parameters in own]).to(DEVICE) for key in own[0]}
    adam = Adam(together, 0.5, 0.999, 1e-8)
    l1 = torch.tensor([penalty.l1 for penalty in penalties], dtype=torch.float64, device=DEVICE)
    k = torch.tensor([penalty.k for penalty in penalties], device=DEVICE)
    those = stacked.Penalties(l1, torch.zeros_like(l1), k, 50)
    warm = torch.ones((), dtype=torch.float64, device=DEVICE)
    seen = stacked.seen(stacked.step(BY_NAME[name].form, adam, {}, z.to(DEVICE), those, warm, adam.begin(1e-3)))
    for index, (parameters, penalty) in enumerate(zip(own, penalties, strict=True)):
        mse, codes, wanted = autograd(name, parameters, z, penalty)
        assert seen[index].mse == pytest.approx(float(mse))
        assert seen[index].l0 == pytest.approx(float((codes > 0).sum(1).double().mean()))
        assert seen[index].l1_norm == pytest.approx(float(codes.sum(1).mean()))
        for key, gradient in wanted.items():
            torch.testing.assert_close(adam.first[key][index].cpu() * 2, gradient, rtol=1e-9, atol=1e-12)


def fed(batches=None):
    """The stream, as the stage feeds it to a GPU."""
    return feed.ahead(iter(batches or stream()), torch.zeros(32), 1.0, DEVICE)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), bandwidth=WINDOW, **PENALTY, **SIZES)
def test_thresholds_of_all_members_learn_as_by_autograd(seed, bandwidth, wished, warm, weight, n_feat, d_act, batch):
    """Three steps in float64, rates in tensors, of two members with thresholds and wishes of their own."""
    both = [case(seed + number, n_feat, d_act, batch, bandwidth, weight, torch.float64) for number in range(2)]
    architecture, _, batches = both[0]
    own = [(both[number][1], Penalty(l1=0.1, l0=wished * (1 + number), warm=warm)) for number in range(2)]
    together = {key: torch.stack([parameters[key] for parameters, _ in own]).to(DEVICE) for key in own[0][0]}
    adam = Adam(together, 0.9, 0.999, 1e-8)
    wishes = torch.tensor([penalty.l0 for _, penalty in own], dtype=torch.float64, device=DEVICE)
    penalties = stacked.Penalties(wishes / 100, wishes, wishes.long(), 0)
    saw = []
    for z in batches:
        warm_, *rates = torch.tensor([warm, *adam.begin(1e-3)], dtype=torch.float64, device=DEVICE).unbind()
        saw.append(
            stacked.seen(stacked.step(architecture.form, adam, {}, z.to(DEVICE), penalties, warm_, tuple(rates)))
        )
    for index, (parameters, penalty) in enumerate(own):
        slow, seen = trained(architecture, parameters, batches, penalty, by_autograd)
        for one, other in zip(saw, seen, strict=True):
            check_seen(architecture, one[index], other, penalty, d_act, 1e-9)
        for name in parameters:
            found = adam.first[name][index].cpu(), adam.parameters[name][index].cpu()
            torch.testing.assert_close(found[0], slow.first[name], rtol=1e-7, atol=1e-10, msg=name)
            torch.testing.assert_close(found[1], slow.parameters[name], rtol=0, atol=1e-7, msg=name)


def test_a_stack_with_thresholds_trains_what_the_processor_trains():
    one_by_one, together = wishing(), wishing()
    processor.train(one_by_one, iter(stream()), threads=1)
    assert gpu.train(together, fed(), DEVICE) == {}
    for own, other in zip(together, one_by_one, strict=True):
        for line, wanted in zip(own.log, other.log, strict=True):
            assert line == pytest.approx(wanted, rel=2e-3)
        assert not torch.equal(own.parameters["log_threshold"], wishing()[0].parameters["log_threshold"])


def wishing(kind=JumpReLU):
    schedule = Schedule(steps=60, lr=3e-3, warmup=5, decay=20, l1_warmup=10)
    return [
        Trainee(str(wished), kind(0.3, 10.0), (96, 32), Penalty(l0=wished), 0, schedule, ADAM, 1, 0.1)
        for wished in (3.0, 9.0)
    ]


class Unlicensed(Architecture):
    """JumpReLU by autograd."""

    def __init__(self, *own):
        inner = JumpReLU(*own)
        self.init, self.begin, self.loss, self.after = inner.init, inner.begin, inner.loss, inner.after


def test_what_has_no_licence_is_trained_one_by_one_as_on_the_processor():
    one_by_one, there = wishing(Unlicensed), wishing(Unlicensed)
    processor.train(one_by_one, iter(stream()), threads=1)
    assert gpu.train(there, fed(), DEVICE) == {}
    for own, other in zip(there, one_by_one, strict=True):
        assert own.parameters["encoder"].device.type == "cpu"
        for line, wanted in zip(own.log, other.log, strict=True):
            assert line == pytest.approx(wanted, rel=1e-4)


def test_what_was_kept_of_a_stack_goes_on_to_what_an_undisturbed_one_ends_as():
    kept = []

    def write():
        if broken[0].step == 30:
            kept.extend(copy.deepcopy(each.kept()) for each in broken)

    whole, broken, again = wishing(), wishing(), wishing()
    gpu.train(whole, fed(), DEVICE)
    gpu.train(broken, fed(stream()[:31]), DEVICE, keeping=Keeping(write, 0.0))
    for own, each in zip(again, kept, strict=True):
        own.take_up(*each)
    assert gpu.train(again, fed(stream()[30:]), DEVICE) == {}
    for own, other in zip(again, whole, strict=True):
        assert (own.step, own.optimiser.count, len(own.log)) == (60, 60, 60)
        torch.testing.assert_close(own.parameters, other.parameters, rtol=1e-5, atol=1e-6)
        assert (other.parameters["encoder"] - wishing()[0].parameters["encoder"]).abs().max() > 0.01


@pytest.mark.parametrize("name", ["tied", "untied", "topk", "jumprelu"])
def test_nothing_within_a_step_waits_for_the_device(name):
    """Tensors of the device `meta` have no numbers: whoever wants to see one fails, as on a GPU he would wait."""
    architecture = JUMPRELU if name == "jumprelu" else BY_NAME[name]
    parameters = architecture.init(20, 6, torch.Generator().manual_seed(0))
    there = {key: value.expand(3, *value.shape).to("meta") for key, value in parameters.items()}
    numbers = torch.ones(3, device="meta")
    warm, *rates = numbers.unbind()
    penalties = stacked.Penalties(numbers, numbers, numbers.long(), 4)
    z = torch.zeros(8, 6, device="meta")
    saw = stacked.step(architecture.form, Adam(there, 0.9, 0.999, 1e-8), {}, z, penalties, warm, tuple(rates))
    assert [each.shape for each in saw] == [(3,)] * 3
    alone = Adam({key: value.to("meta") for key, value in parameters.items()}, 0.9, 0.999, 1e-8)
    assert general.step(architecture, alone, {}, z, Penalty(0.1, 3, 2.0), 1e-3).shape == (4,)
    with pytest.raises(RuntimeError):
        stacked.seen(saw)


def company(name):
    return [member(name, l1=3e-4, k=2), member(name), member(name, seed=1), member(name, l1=1e-2, k=9)]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_stack_trains_what_the_ensemble_trains(name):
    one_by_one, together = company(name), company(name)
    processor.train(one_by_one, iter(stream()), threads=1)
    heard: list[int] = []
    assert gpu.train(together, fed(), DEVICE, advance=heard.append) == {}
    assert sum(heard) == 4 * 60
    for own, other in zip(together, one_by_one, strict=True):
        assert own.step == 60
        assert own.log[-1]["loss"] == pytest.approx(other.log[-1]["loss"], rel=5e-3 if name == "topk" else 1e-4)
        assert [line["step"] for line in own.log] == [line["step"] for line in other.log]


@pytest.mark.parametrize("optimiser", [ADAM, partial(Momentum, decay=0.9)])
@pytest.mark.parametrize("name", ["untied", "topk"])
def test_members_with_rates_of_their_own_are_one_stack_that_trains_what_the_ensemble_trains(name, optimiser):
    def members():
        course = Schedule(steps=60, lr=1e-3, warmup=5, decay=20, l1_warmup=10)
        return [
            Trainee(f"{lr}", BY_NAME[name], (96, 32), Penalty(1e-3, 4), 0, replace(course, lr=lr), optimiser, 1)
            for lr in (1e-3, 4e-3, 2e-3)
        ]

    one_by_one, together = members(), members()
    processor.train(one_by_one, iter(stream()), threads=1)
    with patch.object(stacked, "step", wraps=stacked.step) as steps:
        assert gpu.train(together, fed(), DEVICE) == {}
    assert steps.call_count == 60
    for own, other in zip(together, one_by_one, strict=True):
        for line, wanted in zip(own.log, other.log, strict=True):
            assert line == pytest.approx(wanted, rel=5e-3 if name == "topk" else 1e-3)
    ends = [own.log[-1]["loss"] for own in together]
    assert len({round(end, 5) for end in ends}) == 3


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_rounded_factors_give_nearly_the_same(precision):
    exact, rounded = company("untied"), company("untied")
    gpu.train(exact, fed(), DEVICE)
    gpu.train(rounded, fed(), DEVICE, precision)
    for own, other in zip(rounded, exact, strict=True):
        assert own.parameters["encoder"].dtype == torch.float32
        assert own.log[-1]["loss"] == pytest.approx(other.log[-1]["loss"], rel=0.02)
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_member_that_diverges_is_named_and_takes_nothing_from_the_others():
    alone, together = company("tied"), [*company("tied"), member("tied", l1=1e308)]
    gpu.train(alone, fed(), DEVICE)
    assert gpu.train(together, fed(), DEVICE).keys() == {together[-1].name}
    for own, other in zip(together, alone, strict=False):
        torch.testing.assert_close(own.parameters, other.parameters, rtol=1e-4, atol=1e-5)


def test_training_ends_when_no_member_is_left():
    batches = fed()
    assert len(gpu.train([member("tied", l1=1e308)], batches, DEVICE)) == 1
    assert len(list(batches)) >= 58

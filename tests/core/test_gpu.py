"""A stack of members against the members one by one; on the processor, or on a GPU where there is one."""

import pytest
import torch

from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training import gpu, processor
from sparse_coding.core.training.adam import Adam
from sparse_coding.core.training.steps import stacked
from tests.architectures import BY_NAME
from tests.core.test_processor import member, stream
from tests.core.test_steps import autograd, data
from tests.reference import random_parameters

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
    seen = stacked.seen(
        stacked.step(BY_NAME[name].form, adam, {}, z.to(DEVICE), stacked.Penalties(l1, k, 50), 1.0, 1e-3)
    )
    for index, (parameters, penalty) in enumerate(zip(own, penalties, strict=True)):
        mse, codes, wanted = autograd(name, parameters, z, penalty)
        assert seen[index].mse == pytest.approx(float(mse))
        assert seen[index].l0 == pytest.approx(float((codes > 0).sum(1).double().mean()))
        assert seen[index].l1_norm == pytest.approx(float(codes.sum(1).mean()))
        for key, gradient in wanted.items():
            torch.testing.assert_close(adam.first[key][index].cpu() * 2, gradient, rtol=1e-9, atol=1e-12)


def company(name):
    return [member(name, l1=3e-4, k=2), member(name), member(name, seed=1), member(name, l1=1e-2, k=9)]


@pytest.mark.parametrize("name", BY_NAME)
def test_a_stack_trains_what_the_ensemble_trains(name):
    one_by_one, together = company(name), company(name)
    processor.train(one_by_one, iter(stream()), threads=1)
    heard: list[int] = []
    assert gpu.train(together, iter(stream()), DEVICE, advance=heard.append) == {}
    assert sum(heard) == 4 * 60
    for own, other in zip(together, one_by_one, strict=True):
        assert own.step == 60
        assert own.log[-1]["loss"] == pytest.approx(other.log[-1]["loss"], rel=5e-3 if name == "topk" else 1e-4)
        assert [line["step"] for line in own.log] == [line["step"] for line in other.log]


@pytest.mark.parametrize("precision", ["tf32", "bfloat16"])
def test_rounded_factors_give_nearly_the_same(precision):
    exact, rounded = company("untied"), company("untied")
    gpu.train(exact, iter(stream()), DEVICE)
    gpu.train(rounded, iter(stream()), DEVICE, precision)
    for own, other in zip(rounded, exact, strict=True):
        assert own.parameters["encoder"].dtype == torch.float32
        assert own.log[-1]["loss"] == pytest.approx(other.log[-1]["loss"], rel=0.02)
    assert torch.get_float32_matmul_precision() == "highest"


def test_a_member_that_diverges_is_named_and_takes_nothing_from_the_others():
    alone, together = company("tied"), [*company("tied"), member("tied", l1=1e308)]
    gpu.train(alone, iter(stream()), DEVICE)
    assert gpu.train(together, iter(stream()), DEVICE).keys() == {together[-1].name}
    for own, other in zip(together, alone, strict=False):
        torch.testing.assert_close(own.parameters, other.parameters, rtol=1e-4, atol=1e-5)


def test_training_ends_when_no_member_is_left():
    batches = iter(stream())
    assert len(gpu.train([member("tied", l1=1e308)], batches, DEVICE)) == 1
    assert len(list(batches)) >= 58

"""The controller of a wished L0: what it does to models of training whose codes are known, and to planted vectors."""

import math
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training import gpu, processor
from sparse_coding.core.training.choices import Choices
from sparse_coding.core.training.matching import GAIN, LEAST, LOOKS, Matching, first_penalty
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.settings.params import Dictionaries
from tests.architectures import ADAM
from tests.planted import plant

NONE = torch.zeros(1, 2)
WISHES = st.floats(0.5, 500)
STEERS = {"tied": "l1", "jumprelu": "l0", "batchtopk": "k"}


@given(WISHES, st.floats(-3, 3), st.floats(0.5, 2), st.sampled_from(["l1", "l0"]))
def test_a_dictionary_that_follows_a_power_of_its_penalty_comes_to_the_wish(wished, off, power, steers):
    """L0 = a * l1^-power, or a * l0^power: a closed form of how it comes there, and no look takes it farther away."""
    matching, penalty = Matching(wished, steers, NONE), first_penalty(steers, wished, 128)
    sign = -1 if steers == "l1" else 1
    scale = wished * math.exp(off) / getattr(penalty, steers) ** (sign * power)
    apart = []
    for _ in range(LOOKS):
        counted = scale * getattr(penalty, steers) ** (sign * power)
        apart.append(abs(math.log(counted / wished)))
        penalty = matching.moved(penalty, counted)
    assert all(after <= before + 1e-9 for before, after in pairwise(apart))
    small = [(before, after) for before, after in pairwise(apart) if 1e-6 < before < math.log(2)]
    assert all(after == pytest.approx(before * (1 - GAIN[steers] * power), rel=1e-3) for before, after in small)
    assert apart[-1] < 0.03


@given(WISHES, st.floats(0.8, 2))
def test_codes_that_become_more_at_the_same_l1_are_followed(wished, power):
    """While the rate decays, L1 has to rise by a fifth in 30 looks: what is off settles at a look's drift over GAIN."""
    matching, penalty = Matching(wished, "l1", NONE), Penalty(l1=1.0)
    drift = math.log(1.2) / 30 * power
    for look in range(30):
        counted = wished * math.exp(drift * look) * penalty.l1**-power
        penalty = matching.moved(penalty, counted)
    assert counted / wished - 1 == pytest.approx(drift / power / GAIN["l1"], abs=2e-3)
    assert matching.missed(counted) == ""


@given(WISHES, st.floats(0, 1e6), st.sampled_from(["l1", "l0"]))
def test_a_look_moves_one_number_up_or_down_and_never_far(wished, counted, steers):
    before = Penalty(l1=0.01, l0=7.0, k=3)
    after = Matching(wished, steers, NONE).moved(before, counted)
    assert replace(after, **{steers: getattr(before, steers)}) == before
    ratio = getattr(after, steers) / getattr(before, steers)
    assert abs(math.log2(ratio)) <= GAIN[steers] * (1 + 1e-9)
    more = counted > wished
    assert (ratio >= 1) if more == (steers == "l1") else (ratio <= 1)


@given(st.integers(1, 5000), st.floats(0, 1))
def test_it_looks_after_the_warm_up_and_not_after_the_end(steps, share):
    begins = round(share * steps)
    due = [step for step in range(1, steps + 1) if Matching(8.0, "l1", NONE).is_due(step, begins, steps)]
    assert all(begins <= step < steps for step in due)
    assert len(due) <= LOOKS * 2
    assert all(later - sooner >= LEAST for sooner, later in pairwise(due))
    assert not any(Matching(8.0, "k", NONE).is_due(step, begins, steps) for step in due)


def member(kind: str, wished: float, rows: torch.Tensor, seed: int = 0, steps: int = 300) -> Trainee:
    own = getattr(Dictionaries(), kind)
    schedule = Schedule(steps, own.lr, 15, 90, round(own.penalty_warmup * steps))
    steers = STEERS[kind]
    matching = Matching(wished, steers, rows)
    return Trainee(
        f"{kind}{wished}", build(kind, own.model_dump(mode="json")), (128, 32), first_penalty(steers, wished, 32), seed,
        schedule, ADAM, 50, getattr(own, "initial_density", None), Choices(matching=matching),
    )  # fmt: skip


@pytest.fixture(scope="module")
def planted():
    x = plant(24_000, d_act=32, n_feat=128, active=4).x
    return x[:20_000], x[20_000:] * 1.1  # other vectors: longer, as no training has seen them


def batches(x, steps=300, size=256):
    order = torch.randint(len(x), (steps, size), generator=torch.Generator().manual_seed(3))
    return (x[rows] for rows in order)


@pytest.mark.parametrize("kind", ["tied", "jumprelu", "batchtopk"])
def test_planted_vectors_that_are_counted_come_to_the_wish(planted, kind):
    x, others = planted
    members = [member(kind, wished, others[:2000], number) for number, wished in enumerate((4.0, 8.0))]
    assert processor.train(members, batches(x), threads=1) == {}
    for each in members:
        counted = each.settle()["matched"]["l0"]
        made = each.architecture.fold(each.parameters, each.state, torch.zeros(32), 1.0, each.penalty)
        assert counted == pytest.approx(float((made.encode(others[:2000]) > 0).sum(1).float().mean()), rel=1e-6)
        held_out = float((made.encode(others[2000:]) > 0).sum(1).float().mean())
        assert held_out == pytest.approx(each.choices.matching.wished, rel=0.06)


def test_in_a_stack_of_members_each_is_steered_by_its_own_codes(planted):
    x, others = planted
    alone = [member("tied", wished, others[:500], number, 60) for number, wished in enumerate((4.0, 8.0))]
    stacked = [member("tied", wished, others[:500], number, 60) for number, wished in enumerate((4.0, 8.0))]
    processor.train(alone, batches(x, 60), threads=1)
    gpu.train(stacked, batches(x, 60), torch.device("cpu"))
    for one, other in zip(alone, stacked, strict=True):
        assert other.penalty.l1 == pytest.approx(one.penalty.l1, rel=0.02)
        assert one.penalty.l1 != first_penalty("l1", one.choices.matching.wished, 32).l1


def test_a_wish_that_cannot_be_met_is_said():
    matching = Matching(100.0, "l1", NONE)
    assert matching.missed(102.9) == matching.missed(97.1) == ""
    assert matching.missed(40.0) == "wished L0 100, and 40 codes a held-out vector came out"


def test_weights_that_are_no_numbers_are_left_to_the_next_step(planted):
    one = member("jumprelu", 4.0, planted[1][:50])
    one.parameters["log_threshold"].fill_(math.nan)
    assert one.choices.matching.counted(one.architecture, one.parameters, one.state, one.penalty) == math.inf

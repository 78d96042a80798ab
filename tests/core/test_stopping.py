"""Early stop: the windows by brute force, and trainings that end when their own log says so."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training import gpu, processor
from sparse_coding.core.training.choices import Choices
from sparse_coding.core.training.stopping import Stopping
from sparse_coding.core.training.trainee import Schedule, Trainee
from tests.architectures import ADAM, BY_NAME
from tests.core.test_gpu import DEVICE, fed
from tests.core.test_processor import stream, weights

STOPPING = Stopping(window=12, gain=0.2, begins=8)
DECAY = 10


@settings(max_examples=50, deadline=None)
@given(
    losses=st.lists(st.floats(0.01, 10), min_size=1, max_size=60),
    every=st.integers(1, 3), window=st.integers(3, 9), begins=st.integers(0, 9), gain=st.floats(0, 1),
)  # fmt: skip
def test_it_ends_at_the_first_window_that_is_no_better_than_the_one_before(losses, every, window, begins, gain):
    log = [{"step": step * every, "loss": loss} for step, loss in enumerate(losses)] + [{"step": 3, "ends": 9}]
    stopping, steps, of = Stopping(window, gain, begins), np.arange(len(losses)) * every, np.array(losses)
    for step in range(every * len(losses)):
        wanted = False
        if step >= begins + 2 * window and (step - begins) % window == 0:
            before = of[(steps >= step - 2 * window) & (steps < step - window)].mean()
            last = of[(steps >= step - window) & (steps < step)].mean()
            if math.isclose(last, (1 - gain) * before, rel_tol=1e-12):
                continue
            wanted = last > (1 - gain) * before
        assert stopping.is_over([line for line in log if line["step"] < step], step) == wanted


def members(name, steps=120, stopping=STOPPING):
    schedule = Schedule(steps, lr=1e-2, warmup=5, decay=DECAY, l1_warmup=8)
    choices = Choices(stopping=stopping)
    return [
        Trainee(f"{l1}", BY_NAME[name], (96, 32), Penalty(l1=l1, k=k), 0, schedule, ADAM, 2, 0.1, choices)
        for l1, k in ((1e-4, 30), (1e-2, 2))
    ]


@pytest.mark.parametrize("name", BY_NAME)
def test_members_of_a_cell_end_by_themselves_and_decay_as_at_the_end(name):
    alone, company, whole = members(name), members(name), members(name, stopping=None)
    for member in alone:
        processor.train([member], iter(stream(120)), threads=1)
    processor.train(company, iter(stream(120)), threads=2)
    processor.train(whole, iter(stream(120)), threads=2)
    for own, other, long in zip(company, alone, whole, strict=True):
        assert weights(own) == weights(other)
        (ended,) = [line for line in own.log if "ends" in line]
        at, lines = ended["step"], [line for line in own.log if "loss" in line]
        assert ended["ends"] == own.step == at + DECAY < 120
        assert [line for line in lines if line["step"] < at] == [line for line in long.log if line["step"] < at]
        rates = [line["lr"] for line in lines if line["step"] >= at]
        assert rates == [line["lr"] for line in long.log if line["step"] >= 110][: len(rates)]
        mean = [np.mean([line["loss"] for line in lines if start <= line["step"] < start + 12]) for start in
                range(8, at, 12)]  # fmt: skip
        gains = [last <= 0.8 * before for before, last in pairwise(mean)]
        assert gains == [True] * (len(gains) - 1) + [False]


def test_a_stack_is_parted_where_one_of_it_ends():
    one_by_one, together = members("untied"), members("untied")
    for half in (one_by_one, together):
        half[1].choices = Choices(stopping=Stopping(24, 0.2, 8))  # so that they end apart
    processor.train(one_by_one, iter(stream(120)), threads=1)
    assert gpu.train(together, fed(stream(120)), DEVICE) == {}
    for own, other in zip(together, one_by_one, strict=True):
        assert own.step == other.step < 120
        assert [line["step"] for line in own.log] == [line["step"] for line in other.log]
        for line, wanted in zip(own.log, other.log, strict=True):
            assert line == pytest.approx(wanted, rel=2e-2)
        torch.testing.assert_close(own.parameters["bias"], other.parameters["bias"], atol=1e-2, rtol=1e-2)
    assert together[0].step != together[1].step

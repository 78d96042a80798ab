"""k that goes down to its own: the line between, and what is kept of each batch on the way, by every kind of step."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training import gpu, processor
from sparse_coding.core.training.annealing import Annealing
from sparse_coding.core.training.steps import sparse
from sparse_coding.core.training.trainee import Schedule, Trainee
from tests.architectures import ADAM
from tests.core.test_gpu import DEVICE, fed
from tests.core.test_processor import stream, weights

OWN = {"aux_weight": 1.0, "dead_after": 5000, "threshold_rate": 0.01, "prefixes": (0.25,)}
STEPS = 40


@given(first=st.integers(1, 5000), own=st.integers(1, 500), steps=st.integers(1, 1000), step=st.integers(0, 1500))
def test_k_is_on_the_line_from_the_first_to_its_own(first, own, steps, step):
    k = Annealing(first, steps).k(own, step)
    assert abs(k - np.interp(step, [0, steps], [max(first, own), own])) <= 0.5
    assert own <= k <= max(first, own)


def members(kind, ks=(4, 7), steps=60):
    schedule = Schedule(steps, 1e-2, warmup=5, decay=20, l1_warmup=0, annealing=Annealing(16, STEPS))
    return [Trainee(f"{kind}{k}", build(kind, OWN), (96, 32), Penalty(k=k), 0, schedule, ADAM, 1) for k in ks]


@pytest.mark.parametrize("kind", ["topk", "batchtopk", "topk_aux", "matryoshka"])
def test_each_step_keeps_the_codes_of_its_time_alone_and_in_company(kind, monkeypatch):
    sparse_steps, step = [], sparse.step
    monkeypatch.setattr(sparse, "step", lambda *given: sparse_steps.append(given) or step(*given))
    alone, company = members(kind)[:1], members(kind)
    processor.train(alone, iter(stream()), threads=1)
    processor.train(company, iter(stream()), threads=2)
    assert weights(alone[0]) == weights(company[0])
    for member in company:
        wanted = np.interp(range(60), [0, STEPS], [16, member.penalty.k])
        assert [line["l0"] for line in member.log] == pytest.approx(wanted, abs=0.55)
    assert bool(sparse_steps) == (company[0].architecture.form is not None)  # the fast ones go on


def test_a_stack_keeps_each_members_own():
    one_by_one, together = members("topk"), members("topk")
    processor.train(one_by_one, iter(stream()), threads=1)
    assert gpu.train(together, fed(), DEVICE) == {}
    for own, other in zip(together, one_by_one, strict=True):
        for line, wanted in zip(own.log, other.log, strict=True):
            assert line == pytest.approx(wanted, rel=2e-2)
        torch.testing.assert_close([line["l0"] for line in own.log], [line["l0"] for line in other.log])

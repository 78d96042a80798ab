"""What trainings keep in .work while they go on, against what one keeps."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.forecast.counting import disk
from sparse_coding.settings.params import Dictionaries
from tests.architectures import ADAM

D_ACT, N_FEAT = 96, 384


@pytest.mark.parametrize(("kind", "together"), [("tied", 3), ("untied", 2), ("topk", 5), ("jumprelu", 1)])
def test_it_is_what_members_side_by_side_keep(kind, together):
    section = Dictionaries()
    architecture = build(kind, section.of(kind).model_dump(mode="json"))
    schedule = Schedule(steps=3, lr=0.01, warmup=0, decay=0, l1_warmup=0)
    penalty = Penalty(l1=0.01, k=4, l0=4.0)
    member = Trainee("one", architecture, (N_FEAT, D_ACT), penalty, 0, schedule, ADAM, log_steps=1)
    member.train([torch.randn(32, D_ACT)])
    kept = sum(tensor.nbytes for tensor in member.kept()[0].values())
    training = SimpleNamespace(side_by_side=together, optimiser="adam")
    own: Any = SimpleNamespace(
        site="a", architecture=kind, ratio=4, trainings=range(5), training=training, control=None
    )
    width = {"width": lambda site: D_ACT, "out_width": lambda site: D_ACT}
    sizes: Any = SimpleNamespace(**width, features=lambda site, kind, ratio: N_FEAT)
    assert disk.unfinished(own, sizes) == pytest.approx(together * kept, rel=0.05)

"""Controls: what is held stays, to the byte; the rest is trained as autograd and torch.optim.Adam have it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from sparse_coding import methods
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.controls import COSINE, bring_near, controlled, steps_of
from sparse_coding.core.training import processor
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.settings.params import own_section
from tests.architectures import ADAM
from tests.planted import plant
from tests.reference import paper_loss

SHAPE = (48, 12)
PENALTIES = {"l1": Penalty(l1=2e-3), "k": Penalty(k=3), "l0": Penalty(l0=3.0)}
HAVING = [
    (kind, control) for kind in methods.LEARNED for control in methods.CONTROLS if methods.of(kind).has_control(control)
]


TWO = 6  # of the dimensions, those that a pair reads


def member_of(kind, control, steps=12, own=None, seed=0):
    steps = steps_of(steps, control)
    d_in = TWO if methods.of(kind).pairs else None
    made = build(kind, own_section(kind)().model_dump(mode="json") | (own or {}), d_in)
    plan = Schedule(steps=steps, lr=0.01, warmup=2, decay=0, l1_warmup=2)
    penalty = PENALTIES[methods.of(kind).strength]
    return Trainee(f"m{seed}", controlled(made, control), SHAPE, penalty, seed, plan, ADAM, 1, 0.1)


@pytest.fixture(scope="module")
def batches():
    x = plant(rows=2000, d_act=12, n_feat=24).x
    z = (x - x.mean(0)) / (x - x.mean(0)).norm(dim=1).mean()
    return list(z[:1920].split(160))


def rows(parameters, name):
    return torch.nn.functional.normalize(parameters[name], dim=1)


@pytest.mark.parametrize(("kind", "control"), HAVING)
def test_what_is_held_stays_and_the_rest_moves(kind, control, batches):
    member = member_of(kind, control)
    encoder, decoder = member.architecture.matrices
    began = {name: each.clone() for name, each in member.parameters.items()}
    member.train(batches[: member.schedule.steps])
    held = {"frozen_decoder": {decoder}, "frozen_encoder": {encoder}, "soft_frozen_decoder": set()}.get(control)
    stay = {name for name, each in member.parameters.items() if torch.equal(each, began[name])}
    if held is None:  # before training: but for the one bias that `begin` chooses, nothing moved
        assert {encoder, decoder} <= stay
        assert len(member.log) == 1
        return
    assert held <= stay
    assert not stay - held
    cosines = (rows(member.parameters, decoder) * rows(began, decoder)).sum(1)
    if control == "soft_frozen_decoder":
        assert float(cosines.min()) >= COSINE - 1e-6


def test_the_held_rows_are_unit_and_those_that_are_trained_too(batches):
    for kind, control in (("tied", "soft_frozen_decoder"), ("untied", "frozen_encoder"), ("topk", "frozen_decoder")):
        member = member_of(kind, control)
        member.train(batches)
        norms = member.parameters[member.architecture.matrices[1]].norm(dim=1)
        torch.testing.assert_close(norms, torch.ones_like(norms), rtol=0, atol=2e-7)


@pytest.mark.parametrize(
    ("kind", "control"),
    [
        ("tied", "frozen_decoder"),
        ("untied", "frozen_decoder"),
        ("untied", "frozen_encoder"),
        ("topk", "frozen_encoder"),
    ],
)
def test_the_rest_is_trained_as_the_float64_reference(kind, control, batches):
    """Autograd and torch.optim.Adam, which are given no more than what is to move."""
    member = member_of(kind, control)
    held = member.architecture.matrices[1 if control == "frozen_decoder" else 0]
    member.begin(batches[0])
    leaves = {name: each.double().clone() for name, each in member.parameters.items()}
    moved = {name: each.requires_grad_() for name, each in leaves.items() if name != held}
    adam, losses = torch.optim.Adam(moved.values()), []
    for step, batch in enumerate(batches):
        adam.param_groups[0]["lr"] = member.schedule.rate(step)
        warm = Penalty(l1=member.penalty.l1 * member.schedule.l1_factor(step), k=member.penalty.k)
        adam.zero_grad()
        loss = paper_loss(kind, leaves, batch.double(), warm)[0]
        loss.backward()
        adam.step()
        with torch.no_grad():
            for name in {"decoder"} & moved.keys():
                moved[name] /= moved[name].norm(dim=1, keepdim=True)
        losses.append(loss.item())
    member.train(batches)
    np.testing.assert_allclose([line["loss"] for line in member.log], losses, rtol=1e-3)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), d=st.integers(2, 12), cosine=st.floats(0.1, 0.99), near=st.floats(0, 3))
def test_a_row_comes_back_to_the_edge_of_its_cone_and_no_further(seed, d, cosine, near):
    """In the plane of both, by angles: those within stay, the others are turned until the angle is that of the cone."""
    generator = torch.Generator().manual_seed(seed)
    began = torch.nn.functional.normalize(torch.randn(9, d, generator=generator, dtype=torch.float64), dim=1)
    moved = near * began + torch.randn(9, d, generator=generator, dtype=torch.float64)
    moved = torch.nn.functional.normalize(moved, dim=1)
    found = moved.clone()
    bring_near(found, began, cosine)
    for before, after, start in zip(moved.numpy(), found.numpy(), began.numpy(), strict=True):
        angle, most = np.arccos(np.clip(before @ start, -1, 1)), np.arccos(cosine)
        if angle <= most:
            np.testing.assert_array_equal(after, before)
            continue
        axis = before - (before @ start) * start
        wanted = np.cos(most) * start + np.sin(most) * axis / np.linalg.norm(axis)
        np.testing.assert_allclose(after, wanted, atol=1e-7)


def test_no_row_of_the_cone_is_nearer():
    """A numerical search, in three dimensions."""
    start = np.array([0.0, 0.0, 1.0])
    for before in ([0.6, 0.8, 0.0], [0.48, 0.6, -0.64]):
        row = torch.tensor([before], dtype=torch.float64)
        bring_near(row, torch.tensor(start[None]))

        def apart(angles, before=before):
            polar, turn = np.clip(angles[0], 0, np.arccos(COSINE)), angles[1]
            point = [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)]
            return float(np.sum((np.array(point) - before) ** 2))

        best = min(minimize(apart, [0.3, turn], method="Nelder-Mead").fun for turn in (0.0, 1.0, 2.0))
        assert float(((row[0].numpy() - before) ** 2).sum()) == pytest.approx(best, abs=1e-6)


def test_a_row_that_points_the_other_way_goes_back():
    began = torch.nn.functional.normalize(torch.randn(3, 5, generator=torch.Generator().manual_seed(0)), dim=1)
    rows_now = -began
    bring_near(rows_now, began)
    assert torch.equal(rows_now, began)


@pytest.mark.parametrize("kind", ["tied", "batchtopk", "jumprelu", "gated"])
def test_before_training_the_share_of_codes_is_that_of_the_first_step(kind, batches):
    """Where a first bias or threshold is chosen, it is there."""
    looked, trained = member_of(kind, "step0"), member_of(kind, "soft_frozen_decoder")
    looked.train(batches[:1])
    trained.train(batches[:1])
    for name in ("mse", "l0"):
        assert looked.log[0][name] == pytest.approx(trained.log[0][name], rel=1e-6)
    assert 0 < looked.log[0]["l0"] < 0.2 * SHAPE[0]


@pytest.mark.parametrize(("kind", "control"), [("tied", "soft_frozen_decoder"), ("untied", "frozen_encoder")])
@pytest.mark.parametrize("kept_at", [0, 5])
def test_taken_up_again_the_bytes_are_those_of_one_that_was_left_alone(kind, control, kept_at, batches):
    alone, first, second = (member_of(kind, control) for _ in range(3))
    alone.train(batches)
    first.train(batches[:kept_at])
    second.take_up(*first.kept())
    second.train(batches[kept_at:])
    assert second.log == alone.log
    for name, tensor in alone.kept()[0].items():
        assert torch.equal(second.kept()[0][name], tensor), name


def test_alone_or_in_company_with_one_thread_or_two_the_same_bytes(batches):
    alone = [member_of("untied", "soft_frozen_decoder")]
    company = [member_of("untied", "soft_frozen_decoder", seed=seed) for seed in range(3)]
    processor.train(alone, iter(batches), 1)
    processor.train(company, iter(batches), 2)
    assert all(torch.equal(company[0].parameters[name], each) for name, each in alone[0].parameters.items())


def test_without_free_lengths_or_with_them_a_frozen_decoder_is_the_same_rows(batches):
    """Lengths are of the training alone, and what does not move has none."""
    member = member_of("untied", "frozen_decoder", own={"initial_weights": "xavier", "free_lengths": True})
    began = member.parameters["decoder"].clone()
    member.train(batches)
    assert torch.equal(member.parameters["decoder"], began)


def test_a_frozen_decoder_costs_what_a_trained_one_explains():
    planted = plant(rows=8000, d_act=24, n_feat=48)
    z = planted.x / planted.x.norm(dim=1).mean()
    generator = torch.Generator().manual_seed(0)
    batches = [z[torch.randint(len(z), (256,), generator=generator)] for _ in range(200)]
    ends = {}
    for control in (None, "soft_frozen_decoder", "frozen_encoder", "frozen_decoder", "step0"):
        made = controlled(build("untied", {}), control)
        plan = Schedule(steps=200, lr=0.01, warmup=10, decay=60, l1_warmup=20)
        one = Trainee("m", made, (96, 24), Penalty(l1=2e-3), 0, plan, ADAM, 1, 0.1)
        one.train(batches[: steps_of(200, control)])
        ends[control] = one.log[-1]["loss"]
    assert ends[None] < ends["soft_frozen_decoder"] < ends["frozen_decoder"] < ends["step0"]
    assert ends[None] < ends["frozen_encoder"] < ends["step0"]


def test_what_is_revived_is_not_what_is_held():
    """Rows of a frozen decoder stay; soft-frozen ones stay near."""
    z = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    for control in ("frozen_decoder", "soft_frozen_decoder", "frozen_encoder"):
        member = member_of("untied", control)
        began = {name: each.clone() for name, each in member.parameters.items()}
        names = member.architecture.revive(member.parameters, member.state, torch.arange(5), z)
        moved = {name for name, each in member.parameters.items() if not torch.equal(each, began[name])}
        assert moved <= set(names)
        assert {"frozen_decoder": "decoder", "frozen_encoder": "encoder"}.get(control) not in moved
        assert float((member.parameters["decoder"] * began["decoder"]).sum(1).min()) >= COSINE - 1e-6 or (
            control == "frozen_encoder"
        )

"""Fast steps with a threshold: what autograd of JumpReLU's loss does, and when they are taken."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core import finder
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.architectures.jumprelu import JumpReLU
from sparse_coding.core.training import trainee
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.steps import dense, general, sparse, workspace
from sparse_coding.core.training.steps.seen import Seen
from tests.architectures import ADAM

SIZES = {"n_feat": st.integers(1, 300), "d_act": st.integers(1, 30), "batch": st.integers(1, 40)}
PENALTY = {"wished": st.floats(0.5, 30), "warm": st.floats(0, 1), "weight": st.floats(0, 50)}
WINDOW = st.floats(0.01, 0.5)


def case(seed, n_feat, d_act, batch, bandwidth, weight, dtype, height=1.0):
    """Thresholds between 0.3 and 3 times `height`, pre-activations of about the size 1."""
    architecture = build("jumprelu", {"bandwidth": bandwidth, "l0_weight": weight})
    generator = torch.Generator().manual_seed(seed)
    parameters = architecture.init(n_feat, d_act, generator)
    for value in parameters.values():
        value.add_(0.2 * torch.randn(value.shape, generator=generator) / d_act**0.5)
    spread = torch.rand(n_feat, generator=generator) * 2 - 1
    parameters["log_threshold"] = spread * 1.1 + torch.tensor(height).log()
    parameters = {name: value.to(dtype) for name, value in parameters.items()}
    parameters["decoder"] = torch.nn.functional.normalize(parameters["decoder"], dim=1)
    return architecture, parameters, torch.randn(3, batch, d_act, generator=generator).to(dtype)


def trained(architecture, parameters, batches, penalty, step):
    """The optimiser after one of `step`s on each batch, and what was seen."""
    adam = Adam({name: value.clone() for name, value in parameters.items()}, 0.9, 0.999, 1e-8)
    return adam, [step(architecture, adam, z, penalty) for z in batches]


def by_autograd(architecture, adam, z, penalty):
    return Seen(*general.step(architecture, adam, {}, z, penalty, 1e-3).tolist())


def by_hand(architecture, adam, z, penalty):
    return dense.step(architecture.form, adam, {}, z, penalty, 1e-3)


def by_codes(architecture, adam, z, penalty, int8=False):
    space = workspace.Workspace(len(z), z.shape[1], adam.parameters["bias"].shape[0])
    return sparse.step(architecture.form, adam, {}, z, penalty, 1e-3, space, finder.Screen(int8))


def check_seen(architecture, fast, slow, penalty, d_act, rel):
    assert (fast.mse, fast.l1_norm, fast.l0) == pytest.approx((slow.mse, slow.l1_norm, slow.l0), rel=rel)
    beside = architecture.form.beside(penalty, fast.l1_norm, fast.l0, d_act)
    assert fast.mse + beside == pytest.approx(slow.loss, rel=rel)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), bandwidth=WINDOW, **PENALTY, **SIZES)
def test_the_dense_step_is_the_general_one_in_float64(seed, bandwidth, wished, warm, weight, n_feat, d_act, batch):
    architecture, parameters, batches = case(seed, n_feat, d_act, batch, bandwidth, weight, torch.float64)
    penalty = Penalty(l1=0.1, l0=wished, warm=warm)  # no part of it is of its L1
    fast, saw = trained(architecture, parameters, batches, penalty, by_hand)
    slow, also = trained(architecture, parameters, batches, penalty, by_autograd)
    for one, other in zip(saw, also, strict=True):
        check_seen(architecture, one, other, penalty, d_act, 1e-9)
    assert fast.parameters.keys() == slow.parameters.keys()
    for name in parameters:
        torch.testing.assert_close(fast.first[name], slow.first[name], rtol=1e-7, atol=1e-10, msg=name)
        torch.testing.assert_close(fast.parameters[name], slow.parameters[name], rtol=0, atol=1e-7, msg=name)


def test_both_slopes_of_a_threshold_count():
    """Without the penalty it is pulled by the error alone; without a window by nothing."""
    architecture, parameters, batches = case(0, 200, 20, 40, 0.3, 10.0, torch.float64)
    slopes = [
        trained(each, parameters, batches[:1], Penalty(l0=2.0), by_hand)[0].first["log_threshold"]
        for each in (architecture, replace(architecture, weight=0.0), replace(architecture, bandwidth=1e-9))
    ]
    assert slopes[1].count_nonzero() > 100
    assert (slopes[0] - slopes[1]).count_nonzero() > 100
    assert not slopes[2].any()


def sizes(architecture, parameters, z, penalty):
    """The largest sum of the magnitudes of what a gradient is the sum of, and how many are above and in windows."""
    p = {name: value.double() for name, value in parameters.items()}
    theta, x = p["log_threshold"].exp(), z.double() - p["decoder_bias"]
    m = x @ p["encoder"].T + p["bias"]
    above, inside = m > theta, (m - theta).abs() < architecture.bandwidth / 2
    codes, x = m * above, z.double().abs() + p["decoder_bias"].abs()
    d_x_hat = (codes.abs() @ p["decoder"].abs() + x) * 2 / z.numel()
    d_codes = d_x_hat @ p["decoder"].abs().T
    d_count = abs(architecture.form.slope_of_count(penalty.l0, float(above.sum()) / len(z), z.shape, penalty.warm))
    d_bias = (d_codes * above).sum(0)
    sums = {
        "encoder": (d_codes * above).T @ x,
        "bias": d_bias,
        "decoder": codes.T @ d_x_hat,
        "decoder_bias": d_x_hat.sum(0) + d_bias @ p["encoder"].abs(),
        "log_threshold": theta / architecture.bandwidth * (inside * (theta * d_codes + d_count)).sum(0),
    }
    return {name: float(value.max()) for name, value in sums.items()}, int(above.sum()), int(inside.sum())


@pytest.mark.parametrize("int8", [True, False])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.floats(0.05, 4), bandwidth=WINDOW, **PENALTY, **SIZES)
def test_the_sparse_step_is_the_general_one_in_float32(
    int8, seed, height, bandwidth, wished, warm, weight, n_feat, d_act, batch
):
    """Where both find the same: a pre-activation may be within rounding of the edge of a window."""
    architecture, parameters, (z, *_) = case(seed, n_feat, d_act, batch, bandwidth, weight, torch.float32, height)
    penalty = Penalty(l1=0.1, l0=wished, warm=warm)  # no part of it is of its L1
    largest, above, inside = sizes(architecture, parameters, z, penalty)
    fast, (saw,) = trained(architecture, parameters, [z], penalty, lambda *each: by_codes(*each, int8))
    if saw is None:
        assert max(above, inside) >= int(0.2 * batch * n_feat)
        assert fast.count == 0
        assert all(torch.equal(fast.parameters[name], parameters[name]) for name in parameters)
        return
    if (above, inside) != (round(saw.l0 * batch), round(saw.near * batch)):
        return
    exact = {name: value.double() for name, value in parameters.items()}
    slow, (also,) = trained(architecture, exact, [z.double()], penalty, by_autograd)
    check_seen(architecture, saw, also, penalty, d_act, 1e-4)
    for name, wanted in slow.first.items():
        atol = max(4e-7 * largest[name], 1e-9)  # first moments are a tenth of the slopes
        torch.testing.assert_close(fast.first[name].double(), wanted, rtol=0, atol=atol, msg=name)


def test_at_the_size_of_a_small_model_all_three_agree():
    """d 512, 2048 features, L0 about 30: slopes differ by less than 1e-5 of the largest one."""
    architecture = build("jumprelu", {"bandwidth": 0.05, "l0_weight": 10.0})
    generator = torch.Generator().manual_seed(0)
    parameters = architecture.init(2048, 512, generator)
    z = torch.randn(256, 512, generator=generator) / 512**0.5
    parameters["log_threshold"].fill_(0.096).log_().add_(0.1 * torch.randn(2048, generator=generator))
    keep_from_edges(parameters, z, 0.025)
    penalty = Penalty(l0=32.0)
    exact = {name: value.double() for name, value in parameters.items()}
    slow, (wanted,) = trained(architecture, exact, [z.double()], penalty, by_autograd)
    assert 20 < wanted.l0 < 60
    for step in (by_hand, by_codes):
        fast, (saw,) = trained(architecture, parameters, [z], penalty, step)
        assert saw.l0 == wanted.l0
        assert saw.near > 2 * saw.l0
        for name, slope in slow.first.items():
            assert (fast.first[name] - slope).abs().max() < 1e-5 * slope.abs().max(), (step, name)


def keep_from_edges(parameters, z, half):
    """No pre-activation within rounding of a threshold or of an edge of its window: features with one have no codes."""
    m = z.double() @ parameters["encoder"].double().T
    apart = m - parameters["log_threshold"].double().exp()
    near_edge = (torch.stack([apart, apart - half, apart + half]).abs() < 1e-6).any(0).any(0)
    assert near_edge.float().mean() < 0.05
    parameters["log_threshold"][near_edge] = 3.0


def test_both_screens_give_the_same_bytes():
    architecture, parameters, (z, *_) = case(3, 300, 30, 40, 0.2, 10.0, torch.float32, 3.0)
    one, other = (
        trained(architecture, parameters, [z], Penalty(l0=4.0), lambda *each, int8=int8: by_codes(*each, int8))
        for int8 in (True, False)
    )
    assert one[1] == other[1]
    assert one[1][0].near > 0
    for part in ("parameters", "first", "second"):
        assert all(torch.equal(getattr(one[0], part)[name], getattr(other[0], part)[name]) for name in parameters)


def member_of(kind):
    schedule = trainee.Schedule(steps=80, lr=3e-3, warmup=5, decay=20, l1_warmup=10)
    return trainee.Trainee("j", kind(0.05, 10.0), (256, 32), Penalty(l0=6.0), 0, schedule, ADAM, 1, initial_density=0.1)


def test_a_training_goes_over_to_the_sparse_step_and_is_that_of_autograd(monkeypatch):
    taken, kept = [], sparse.step

    def heard(*given_):
        taken.append(kept(*given_))
        return taken[-1]

    monkeypatch.setattr(sparse, "step", heard)
    generator = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(60, 32, generator=generator), dim=1)
    codes = [(torch.rand(256, 60, generator=generator) < 0.05) * 0.6 for _ in range(80)]
    batches = [each @ atoms + 0.01 * torch.randn(256, 32, generator=generator) for each in codes]
    fast, slow = member_of(JumpReLU), member_of(JumpReLU)
    fast.train(batches)
    found = [seen for seen in taken if seen is not None]
    assert len(found) > 40
    monkeypatch.setattr(sparse, "step", lambda *_: None)

    def by_autograd(form, *others):
        return Seen(*general.step(slow.architecture, *others).tolist())

    monkeypatch.setattr(dense, "step", by_autograd)
    slow.train(batches)
    assert len(fast.log) == len(slow.log) == 80
    for one, other in zip(fast.log, slow.log, strict=True):
        assert one == pytest.approx(other, rel=0.01)
    apart = (fast.parameters["log_threshold"] - slow.parameters["log_threshold"]).abs()
    assert apart.median() < 1e-4
    assert fast.density == pytest.approx((found[-1].l0 + found[-1].near) / 256)


def test_a_window_that_is_too_full_for_the_sparse_step_sends_the_next_to_the_dense_one():
    """Many are near their thresholds and few above: the sparse step is not tried again and again in vain."""
    member = member_of(lambda *_: JumpReLU(5.0, 10.0))
    member.train([torch.randn(256, 32, generator=torch.Generator().manual_seed(1)) / 32**0.5])
    assert member.log[0]["l0"] < 0.15 * 256
    assert member.density > 0.9

"""BatchTopK, TopK with aux-k, Matryoshka and transcoders by the fast steps: what autograd of their losses does."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core import finder
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.steps import dense, general, sparse, stacked, workspace
from sparse_coding.core.training.steps.seen import Seen
from tests.core.test_gated import check_company, check_taking_up

OWN = {"aux_weight": 1.0, "dead_after": 30, "threshold_rate": 0.3, "prefixes": [0.1, 0.3, 0.6]}
PAIRS = ("transcoder", "skip_transcoder")
KINDS = ("batchtopk", "topk_aux", "matryoshka", *PAIRS)
SIZES = {"n_feat": st.integers(1, 150), "d_act": st.integers(1, 30), "batch": st.integers(1, 40)}


def case(kind, seed, n_feat, d_act, batch, dtype, weight=1.0):
    """Parameters and state in the middle of a training, a third of the features dead; three batches.

    Of a pair of places, the second one is of another width.
    """
    d_in, width = (d_act, d_act + 1 + 7 * d_act % 30) if kind in PAIRS else (None, d_act)
    architecture = build(kind, OWN | {"aux_weight": weight}, d_in)
    generator = torch.Generator().manual_seed(seed)
    parameters = architecture.init(n_feat, width, generator)
    for value in parameters.values():
        value.add_(0.2 * torch.randn(value.shape, generator=generator) / d_act**0.5)
    parameters = {name: value.to(dtype) for name, value in parameters.items()}
    parameters["decoder"] = torch.nn.functional.normalize(parameters["decoder"], dim=1)
    state = {
        name: value if name == "silent" else value.to(dtype)
        for name, value in architecture.state({**parameters}).items()
    }
    state["silent"] += torch.randint(0, 45, (n_feat,), generator=generator)
    return architecture, parameters, state, torch.randn(3, batch, width, generator=generator).to(dtype)


def steps(architecture, parameters, state, batches, penalty, one):
    """The optimiser and the state after a step on each batch, and what was seen; rates of 1e-3."""
    adam = Adam({name: value.clone() for name, value in parameters.items()}, 0.9, 0.999, 1e-8)
    state = {name: value.clone() for name, value in state.items()}
    return adam, state, [one(architecture, adam, state, z, penalty) for z in batches]


def by_autograd(architecture, adam, state, z, penalty):
    return Seen(*general.step(architecture, adam, state, z, penalty, 1e-3).tolist())


def by_hand(architecture, adam, state, z, penalty):
    return dense.step(architecture.form, adam, state, z, penalty, 1e-3)


def by_codes(architecture, adam, state, z, penalty, screen=None):
    (n_feat, d_in), d_out = adam.parameters["encoder"].shape, adam.parameters["decoder"].shape[1]
    space = workspace.Workspace(len(z), d_in, n_feat, d_out)
    return sparse.step(architecture.form, adam, state, z, penalty, 1e-3, space, screen or finder.Screen(int8=False))


def check_seen(fast, slow, rel):
    assert (fast.mse, fast.l1_norm, fast.l0) == pytest.approx((slow.mse, slow.l1_norm, slow.l0), rel=rel, abs=1e-12)
    assert (fast.mse if fast.loss is None else fast.loss) == pytest.approx(slow.loss, rel=rel)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 20), weight=st.sampled_from([0.0, 1.0, 2.5]), **SIZES)
def test_the_dense_step_is_the_general_one_in_float64(kind, seed, k, weight, n_feat, d_act, batch):
    those = *case(kind, seed, n_feat, d_act, batch, torch.float64, weight), Penalty(l1=0.1, k=k)
    fast, kept, saw = steps(*those, by_hand)
    slow, also, seen = steps(*those, by_autograd)
    for one, other in zip(saw, seen, strict=True):
        check_seen(one, other, 1e-9)
    for name in slow.parameters:
        torch.testing.assert_close(fast.first[name], slow.first[name], rtol=1e-7, atol=1e-10, msg=name)
        torch.testing.assert_close(fast.parameters[name], slow.parameters[name], rtol=0, atol=1e-7, msg=name)
    torch.testing.assert_close(kept, also, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 20), weight=st.sampled_from([0.0, 1.0, 2.5]), **SIZES)
def test_a_stack_is_the_general_step_of_each_member_in_float64(kind, seed, k, weight, n_feat, d_act, batch):
    """Two members, with a k of their own; of the second no feature is dead."""
    own = [case(kind, seed + number, n_feat, d_act, batch, torch.float64, weight) for number in range(2)]
    own[1][2]["silent"].zero_()
    architecture, batches = own[0][0], own[0][3]
    penalties = [Penalty(l1=0.1, k=k), Penalty(l1=0.1, k=2 * k)]
    together, kept = (
        {name: torch.stack([each[part][name] for each in own]) for name in own[0][part]} for part in (1, 2)
    )
    adam, ks = Adam(together, 0.9, 0.999, 1e-8), torch.tensor([k, 2 * k])
    those, one = stacked.Penalties(0.1 * torch.ones(2), torch.zeros(2), ks, 2 * k), torch.ones((), dtype=torch.float64)
    saw = [stacked.seen(stacked.step(architecture.form, adam, kept, z, those, one, adam.begin(1e-3))) for z in batches]
    for index, (_, parameters, state, _) in enumerate(own):
        slow, also, seen = steps(architecture, parameters, state, batches, penalties[index], by_autograd)
        for fast, other in zip(saw, seen, strict=True):
            check_seen(fast[index], other, 1e-9)
        for name in parameters:
            torch.testing.assert_close(adam.first[name][index], slow.first[name], rtol=1e-7, atol=1e-10, msg=name)
        for name, value in also.items():
            torch.testing.assert_close(kept[name][index], value, rtol=1e-9, atol=1e-12, msg=name)


def sides(d_in, z, p):
    """The magnitudes of what is encoded, and of what codes are to put together."""
    if d_in is None:
        return (z.double().abs() + p["decoder_bias"],) * 2
    x, y = z.double().abs().tensor_split([d_in], dim=1)
    return x, y + p["decoder_bias"] + (x @ p["skip"] if "skip" in p else 0)


def sizes(architecture, parameters, state, z, penalty):
    """The largest sum of the magnitudes of what a gradient is the sum of, for each parameter."""
    p = {name: value.double().abs() for name, value in parameters.items()}
    d_in = architecture.form.d_in
    x, y = sides(d_in, z, p)
    terms = architecture.loss(parameters, state, z, penalty)
    codes = terms.codes.double()
    d_x_hat = (codes @ p["decoder"] + y) * 2 / y.numel()
    dead = state["silent"] >= architecture.dead_after
    m = (x @ p["encoder"].T + p["bias"]) * dead
    d_wrong = (m @ p["decoder"] + d_x_hat * y.numel() / 2) * 2 * architecture.weight / y.numel()
    d_pre = (d_x_hat @ p["decoder"].T) * (codes > 0) + (d_wrong @ p["decoder"].T) * dead
    found = {"bias": d_pre.sum(0), "encoder": d_pre.T @ x, "decoder": codes.T @ d_x_hat + m.T @ d_wrong}
    found["decoder_bias"] = d_x_hat.sum(0) + (found["bias"] @ p["encoder"] if d_in is None else 0)
    found["skip"] = x.T @ d_x_hat if d_in else torch.zeros(1)
    return {name: float(value.max()) for name, value in found.items()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("int8", [True, False])
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), weight=st.sampled_from([0.0, 1.0, 2.5]), **SIZES)
def test_the_sparse_step_is_the_general_one_in_float32(kind, int8, seed, weight, n_feat, d_act, batch):
    architecture, parameters, state, (z, *_) = case(kind, seed, n_feat, d_act, batch, torch.float32, weight)
    penalty = Penalty(k=max(1, n_feat // 10))
    fast, kept, (saw,) = steps(
        architecture, parameters, state, [z], penalty, lambda *those: by_codes(*those, finder.Screen(int8))
    )
    if saw is None:
        assert penalty.k * batch + n_feat > int(0.2 * batch * n_feat)
        assert fast.count == 0
        assert all(torch.equal(fast.parameters[name], parameters[name]) for name in parameters)
        assert torch.equal(kept["silent"], state["silent"])
        return
    exact = {name: value.double() for name, value in parameters.items()}
    slow, also, (seen,) = steps(architecture, exact, state, [z.double()], penalty, by_autograd)
    codes = architecture.loss(exact, state, z.double(), penalty).codes
    if not torch.equal((codes > 0).any(0), kept["silent"] == 0) or saw.l0 != pytest.approx(seen.l0):
        return  # a pre-activation within rounding of 0 or of another one
    check_seen(saw, seen, 1e-4)
    largest = sizes(architecture, parameters, state, z, penalty)
    for name, wanted in slow.first.items():
        atol = max(4e-7 * largest[name], 1e-9)  # first moments are a tenth of the slopes
        torch.testing.assert_close(fast.first[name].double(), wanted, rtol=0, atol=atol, msg=name)
    for name, value in also.items():
        torch.testing.assert_close(kept[name].double(), value.double(), rtol=1e-4, atol=1e-6, msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_guessed_and_screened_with_the_bytes_are_the_same(kind):
    those = *case(kind, 3, 300, 30, 40, torch.float32), Penalty(k=9)
    found = [
        steps(*those, lambda *each, border=border, int8=int8: by_codes(*each, finder.Screen(int8, border=border)))
        for border in (0.0, 0.5, 1.0, 1e9)
        for int8 in (True, False)
    ]
    for adam, kept, saw in found[1:]:
        assert saw == found[0][2]
        assert all(torch.equal(adam.first[name], each) for name, each in found[0][0].first.items())
        assert all(torch.equal(adam.parameters[name], each) for name, each in found[0][0].parameters.items())
        assert all(torch.equal(kept[name], each) for name, each in found[0][1].items())


def test_without_a_dead_feature_a_step_of_aux_k_has_the_bytes_of_topk():
    architecture, parameters, state, batches = case("topk_aux", 0, 200, 20, 50, torch.float32)
    state["silent"].zero_()
    plain = build("topk", {})
    for one in (by_codes, by_hand):
        fast, _, saw = steps(architecture, parameters, state, batches[:1], Penalty(k=6), one)
        topk, _, seen = steps(plain, parameters, {}, batches[:1], Penalty(k=6), one)
        assert saw == seen
        assert all(np.array_equal(fast.parameters[name], topk.parameters[name]) for name in parameters)


def own_of(kind):
    """For trainings on vectors of 12 dimensions, of a pair 5 and 7; some features die."""
    return OWN | {"dead_after": 300} | ({"d_in": 5} if kind in PAIRS else {})


@pytest.mark.parametrize("kind", KINDS)
def test_alone_or_in_company_with_one_thread_or_two_the_same_bytes(kind):
    check_company(kind, own_of(kind), Penalty(k=3))


@pytest.mark.parametrize("kind", KINDS)
def test_taken_up_again_the_bytes_are_those_of_one_that_was_left_alone(kind):
    """From before and from after features are dead; what was guessed for the next batch is not kept."""
    for kept_at in (1, 37):
        check_taking_up(kind, own_of(kind), Penalty(k=3), kept_at)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_within_a_step_of_a_stack_waits_for_the_device(kind):
    """As tests.core.test_gpu has it: tensors of the device `meta` have no numbers."""
    architecture, parameters, state, (z, *_) = case(kind, 0, 20, 6, 8, torch.float32)
    there, kept = (
        {name: value.expand(3, *value.shape).to("meta") for name, value in each.items()} for each in (parameters, state)
    )
    numbers = torch.ones(3, device="meta")
    penalties, z = stacked.Penalties(numbers, numbers, numbers.long(), 4), z.to("meta")
    warm, *rates = numbers.unbind()
    saw = stacked.step(architecture.form, Adam(there, 0.9, 0.999, 1e-8), kept, z, penalties, warm, tuple(rates))
    assert [each.shape for each in saw] == [(3,)] * 4

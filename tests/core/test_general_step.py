"""The step by autograd: any loss, and the same as the fast steps where there is a licence for these."""

from dataclasses import dataclass

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sparse_coding.core import finder
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Architecture, Form, Penalty, Terms
from sparse_coding.core.training import processor
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.steps import dense, general, sparse, workspace
from sparse_coding.core.training.steps.seen import Seen
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.errors import BadInput
from tests.architectures import ADAM, BY_NAME

SIZES = {"n_feat": st.integers(1, 120), "d_act": st.integers(1, 30), "batch": st.integers(1, 40)}
VARIANTS = {
    "plain": {},
    "lengths": {"free_lengths": True},
    "not centred": {"learned_centre": False},
    "both": {"initial_weights": "xavier", "free_lengths": True, "learned_centre": False},
}


def steps_of(architecture, parameters, state, batches, penalty, how, lr=1e-3):
    """Parameters and state after a step on each batch, and what was seen."""
    adam = Adam({name: value.clone() for name, value in parameters.items()}, 0.9, 0.999, 1e-8)
    state = {name: value.clone() for name, value in state.items()}
    seen = []
    for z in batches:
        if how == "general":
            seen.append(Seen(*general.step(architecture, adam, state, z, penalty, lr).tolist()))
        elif how == "dense":
            seen.append(dense.step(architecture.form, adam, state, z, penalty, lr))
        else:
            space = workspace.Workspace(len(z), z.shape[1], len(parameters[architecture.form.bias]))
            screen = finder.Screen(int8=False)
            seen.append(sparse.step(architecture.form, adam, state, z, penalty, lr, space, screen))
    return adam.parameters, state, seen


def case(kind, variant, seed, n_feat, d_act, dtype, bias=0.0):
    architecture = build(kind, VARIANTS[variant])
    parameters = architecture.init(n_feat, d_act, torch.Generator().manual_seed(seed))
    generator = torch.Generator().manual_seed(seed + 1)
    for value in parameters.values():
        value.add_(0.2 * torch.randn(value.shape, generator=generator) / d_act**0.5)
    parameters[architecture.form.bias].sub_(bias)
    form = architecture.form
    state = architecture.state(parameters)
    as_wanted = {name: value.to(dtype) for name, value in parameters.items()}
    as_wanted[form.decoder] = torch.nn.functional.normalize(as_wanted[form.decoder], dim=1)
    return architecture, as_wanted, {name: value.to(dtype) for name, value in state.items()}


def some(seed, batch, d_act, dtype, n=3):
    generator = torch.Generator().manual_seed(seed + 2)
    return [torch.randn(batch, d_act, generator=generator).to(dtype) for _ in range(n)]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", BY_NAME)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), l1=st.floats(0, 0.1), k=st.integers(1, 20), **SIZES)
def test_the_dense_step_is_the_general_one_in_float64(kind, variant, seed, l1, k, n_feat, d_act, batch):
    architecture, parameters, state = case(kind, variant, seed, n_feat, d_act, torch.float64)
    assume(all(float(lengths.min()) > 0.01 for lengths in state.values()))  # a slope is divided by them
    given_both = architecture, parameters, state, some(seed, batch, d_act, torch.float64), Penalty(l1=l1, k=k)
    fast, general_ = (steps_of(*given_both, how) for how in ("dense", "general"))
    # Steps are of 1e-3. Of one dimension a slope along the sphere is rounding alone, and Adam makes steps of it.
    torch.testing.assert_close(fast[:2], general_[:2], rtol=0, atol=1e-7)
    for one, other in zip(fast[2], general_[2], strict=True):
        assert (one.mse, one.l1_norm, one.l0) == pytest.approx((other.mse, other.l1_norm, other.l0), rel=1e-6)
        assert other.loss == pytest.approx(one.mse + (0 if kind == "topk" else l1) * one.l1_norm, rel=1e-6)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("kind", BY_NAME)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), l1=st.floats(0, 0.1), **SIZES | {"d_act": st.integers(2, 30)})
def test_the_sparse_step_is_the_general_one_in_float32(kind, variant, seed, l1, n_feat, d_act, batch):
    """Where both find the same codes: a pre-activation may be within rounding of 0, or of another one.

    Of one dimension a row is 1 or -1, and where it was next to 0 a step turns it or does not.
    """
    architecture, parameters, state = case(kind, variant, seed, n_feat, d_act, torch.float32, bias=1.8 * d_act**0.5)
    (z,) = some(seed, batch, d_act, torch.float32, 1)
    penalty = Penalty(l1=l1, k=max(1, n_feat // 10))
    moved, kept, (fast,) = steps_of(architecture, parameters, state, [z], penalty, "sparse")
    if fast is None:  # more codes than there is room for
        return
    wanted, also, (slow,) = steps_of(architecture, parameters, state, [z], penalty, "general")
    if fast.l0 != slow.l0:
        return
    assert fast.mse == pytest.approx(slow.mse, rel=1e-4)
    # A first step of Adam moves by the rate, whichever way a slope of next to nothing points.
    for name in parameters:
        assert (moved[name] - wanted[name]).abs().max() <= 2.5e-3
        assert ((moved[name] - wanted[name]).abs() > 1e-5).float().mean() < 0.05
    torch.testing.assert_close(kept, also, rtol=1e-3, atol=2e-3)


@dataclass(frozen=True)
class Made(Architecture):
    """A made-up one: an extra parameter, a state that is no parameter, another target, a hyperparameter of its own."""

    pull: float = 0.1

    def init(self, n_feat, d_act, generator):
        parameters = BY_NAME["untied"].init(n_feat, d_act, generator)
        return parameters | {"scale": torch.ones(n_feat)}

    def state(self, parameters):
        return {"fired": torch.zeros(len(parameters["bias"]))}

    def loss(self, parameters, state, z, penalty):
        codes = torch.relu(z @ parameters["encoder"].T + parameters["bias"]) * parameters["scale"]
        target = z.roll(1, dims=1)
        mse = (codes @ parameters["decoder"] + parameters["decoder_bias"] - target).square().mean()
        return Terms(
            mse + penalty.l1 * codes.mean() + self.pull * (parameters["scale"] - 1).square().mean(), mse, codes
        )

    def after(self, parameters, state, terms):
        state["fired"] += (terms.codes > 0).sum(0)
        parameters["decoder"].div_(parameters["decoder"].norm(dim=1, keepdim=True))


@pytest.mark.parametrize("seed", range(3))
def test_a_made_up_loss_is_trained_as_torch_trains_it(seed):
    made, penalty = Made(), Penalty(l1=0.01)
    parameters = {name: value.double() for name, value in made.init(20, 6, torch.Generator().manual_seed(seed)).items()}
    state = {name: value.double() for name, value in made.state(parameters).items()}
    batches = some(seed, 16, 6, torch.float64, 30)
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    optimiser, fired = torch.optim.Adam(leaves.values(), lr=1e-2), torch.zeros(20, dtype=torch.float64)
    for z in batches:
        optimiser.zero_grad()
        terms = made.loss(leaves, {}, z, penalty)
        terms.loss.backward()
        optimiser.step()
        fired += (terms.codes > 0).sum(0)
        with torch.no_grad():
            leaves["decoder"] /= leaves["decoder"].norm(dim=1, keepdim=True)
    moved, kept, _ = steps_of(made, parameters, state, batches, penalty, "general", lr=1e-2)
    torch.testing.assert_close(moved, {name: leaf.detach() for name, leaf in leaves.items()}, rtol=1e-9, atol=1e-11)
    assert torch.equal(kept["fired"], fired)
    assert fired.sum() > 0


class Forgetful(Made):
    """The loss does not hang on a parameter."""

    def loss(self, parameters, state, z, penalty):
        return super().loss({**parameters, "scale": torch.ones(len(parameters["bias"]))}, state, z, penalty)


class Licensed(Made):
    """The licence does not know a parameter."""

    @property
    def form(self):
        return Form(encoder="encoder", bias="bias", decoder="decoder", centre="decoder_bias")


@pytest.mark.parametrize(("made", "named"), [(Forgetful(), "no 'scale' in it|scale"), (Licensed(), "scale")])
def test_a_parameter_that_nothing_moves_is_refused(made, named):
    schedule = Schedule(steps=2, lr=1e-3, warmup=0, decay=0, l1_warmup=0)
    with pytest.raises(BadInput, match=named):
        Trainee("m", made, (8, 4), Penalty(), 0, schedule, ADAM, 1).train([torch.randn(5, 4)])


def test_alone_or_in_company_with_one_thread_or_two_the_same_bytes():
    def trained(n, threads):
        schedule = Schedule(steps=20, lr=1e-2, warmup=0, decay=0, l1_warmup=5)
        members = [Trainee(str(seed), Made(), (24, 8), Penalty(l1=0.01), seed, schedule, ADAM, 5) for seed in range(n)]
        processor.train(members, iter(some(0, 32, 8, torch.float32, 20)), threads)
        return [{**member.parameters, **member.state} for member in members]

    alone, company = trained(1, 1), trained(5, 2)
    assert all(torch.equal(alone[0][name], company[0][name]) for name in alone[0])

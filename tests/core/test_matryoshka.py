"""Matryoshka: its slopes, and planted parents that their children do not take over."""

import inspect
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sparse_coding.core.architectures import build, matryoshka
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.io import dictionaries
from sparse_coding.settings.params import Dictionaries
from tests.core.test_gated import folded, member_of
from tests.planted import plant

OWN = Dictionaries().matryoshka.model_dump(mode="json")
ALIVE = {"aux_weight": 1.0, "dead_after": 1000, "threshold_rate": 0.01}


def case(seed, n_feat, d_act, batch):
    """Parameters in float64, as they might be in the middle of a training."""
    generator = torch.Generator().manual_seed(seed)
    drawn = build("matryoshka", OWN).init(n_feat, d_act, generator)
    parameters = {name: value.double() for name, value in drawn.items()}
    for value in parameters.values():
        value.add_(0.4 * torch.randn(value.shape, generator=generator, dtype=torch.float64))
    parameters["decoder"] = torch.nn.functional.normalize(parameters["decoder"], dim=1)
    return parameters, torch.randn(batch, d_act, generator=generator, dtype=torch.float64)


def by_hand(parameters, z, k, lengths):
    """The loss and its slopes as the paper has them, a mean over m of whole reconstructions, in numpy."""
    p = {name: value.numpy() for name, value in parameters.items()}
    x, atoms = z.numpy() - p["decoder_bias"], p["decoder"]
    m = np.maximum(x @ p["encoder"].T + p["bias"], 0)
    kept = np.zeros(m.size, bool)
    kept[np.argsort(-m, axis=None)[: k * len(m)]] = True
    codes, loss = m * kept.reshape(m.shape), 0.0
    d_codes, d_decoder, d_centre = np.zeros_like(m), np.zeros_like(atoms), np.zeros(len(atoms[0]))
    for n in lengths:
        residual = codes[:, :n] @ atoms[:n] - x
        loss += (residual**2).mean() / len(lengths)
        d_x_hat = 2 * residual / x.size / len(lengths)
        d_codes[:, :n] += d_x_hat @ atoms[:n].T
        d_decoder[:n] += codes[:, :n].T @ d_x_hat
        d_centre += d_x_hat.sum(0)
    d_m = d_codes * (codes > 0)
    slopes = {
        "encoder": d_m.T @ x,
        "bias": d_m.sum(0),
        "decoder": d_decoder - (d_decoder * atoms).sum(1, keepdims=True) * atoms,
        "decoder_bias": d_centre - d_m.sum(0) @ p["encoder"],
    }
    return loss, (residual**2).mean(), slopes


def check_slopes(architecture, parameters, z, k, lengths):
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    terms = architecture.loss(leaves, architecture.state(parameters), z, Penalty(k=k))
    found = dict(zip(leaves, torch.autograd.grad(terms.loss, leaves.values()), strict=True))
    loss, mse, wanted = by_hand(parameters, z, k, lengths)
    assert float(terms.loss.detach()) == pytest.approx(loss, rel=1e-9)
    assert float(terms.mse.detach()) == pytest.approx(mse, rel=1e-9)
    for name, slope in wanted.items():
        np.testing.assert_allclose(found[name].numpy(), slope, rtol=1e-7, atol=1e-9, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), lengths=st.sets(st.integers(1, 60), min_size=1, max_size=5),
    d_act=st.integers(1, 20), batch=st.integers(1, 40), k=st.integers(1, 20),
)  # fmt: skip
def test_slopes_are_those_of_the_paper(seed, lengths, d_act, batch, k):
    *some, n_feat = ordered = sorted(lengths)
    architecture = build("matryoshka", ALIVE | {"prefixes": [n / n_feat for n in some]})
    check_slopes(architecture, *case(seed, n_feat, d_act, batch), min(k, n_feat), ordered)


MUTATIONS = {
    "prefixes that do not nest": ("left = left - codes", "left = x - codes"),
    "the whole alone": ("torch.stack(errors).mean()", "errors[-1]"),
    "all prefixes but the whole": ("torch.stack(errors).mean()", "torch.stack(errors[:-1]).mean()"),
    "codes of the first alone": ("codes[:, group]", "codes[:, group][:, :1].expand(-1, group.stop - group.start)"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_is_caught(mutation):
    old, new = MUTATIONS[mutation]
    source = inspect.getsource(matryoshka)
    assert source.count(old) == 1
    broken = ModuleType(matryoshka.__name__)
    exec(source.replace(old, new), vars(broken))
    with pytest.raises(AssertionError):
        check_slopes(broken.build(ALIVE | {"prefixes": [0.2, 0.5]}), *case(3, 30, 10, 20), 6, [6, 15, 30])


@pytest.mark.parametrize(
    ("n_feat", "lengths"), [(512, [16, 48, 112, 240, 512]), (8, [1, 2, 4, 8]), (1, [1])]
)  # fmt: skip
def test_each_prefix_is_there_once_and_all_features_at_last(n_feat, lengths):
    groups = build("matryoshka", OWN).form.groups(n_feat)
    assert [group.stop for group in groups] == lengths
    assert [group.start for group in groups] == [0, *lengths[:-1]]


@pytest.mark.parametrize("wrong", [[], [0.0, 0.5], [0.5, 1.0], [0.5, 0.25], [0.25, 0.25]])
def test_prefixes_that_are_none_are_refused(wrong):
    with pytest.raises(ValidationError, match=r"matryoshka\.prefixes"):
        Dictionaries.model_validate({"matryoshka": {"prefixes": wrong}})


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_what_is_saved_is_what_was_trained(scale, tmp_path):
    parameters, z = case(5, 40, 12, 60)
    parameters, z = {name: value.float() for name, value in parameters.items()}, z.float()
    mean, penalty = torch.randn(12, generator=torch.Generator().manual_seed(1)), Penalty(k=5)
    architecture = build("matryoshka", OWN)
    state = architecture.state(parameters)
    terms = architecture.loss(parameters, state, z, penalty)
    architecture.after({name: value.clone() for name, value in parameters.items()}, state, terms)
    state["threshold"] *= 0.999999  # what is above it: the smallest code of the batch too
    made = architecture.fold(parameters, state, mean, scale, penalty)
    dictionaries.save(tmp_path / "d.safetensors", made, {})
    for dictionary in (made, dictionaries.load(tmp_path / "d.safetensors")):
        x = mean + scale * z
        torch.testing.assert_close(dictionary.encode(x), scale * terms.codes, rtol=1e-4, atol=1e-4 * scale)
        mse = (dictionary.reconstruct(x) - x).square().mean() / scale**2
        torch.testing.assert_close(mse, terms.mse, rtol=1e-4, atol=1e-6)


def test_a_planted_dictionary_is_found():
    planted = plant(rows=20_000)
    member = member_of("matryoshka", OWN, Penalty(k=5), 400, lr=OWN["lr"])
    found = folded(member, planted.x)
    assert mmcs(planted.atoms, found.atoms) > 0.76
    assert float((found.encode(planted.x) > 0).sum(1).float().mean()) == pytest.approx(5, rel=0.05)


def families(rows=40_000):
    """8 parents; each has 8 children, of which at most one is there, and never without its parent."""
    generator = torch.Generator().manual_seed(3)
    atoms = torch.nn.functional.normalize(torch.randn(72, 64, generator=generator), dim=1)
    parents = torch.rand(rows, 8, 1, generator=generator) < 0.2
    which = torch.randint(0, 10, (rows, 8), generator=generator)  # with 8 and 9 it is alone
    children = torch.nn.functional.one_hot(which, 10)[..., :8].bool() & parents
    on = torch.cat([parents.flatten(1), children.flatten(1)], 1)
    codes = on * (0.5 + torch.rand(rows, 72, generator=generator))
    return atoms, codes @ atoms + 0.02 * torch.randn(rows, 64, generator=generator)


def absorbed(atoms, found):
    """How much of its parent is in what was found for a child, mean cosine."""
    cosines = found.atoms @ atoms.T
    closest = cosines[:, 8:].argmax(0)
    return float(cosines[closest, torch.arange(64) // 8].mean())


def test_children_do_not_take_over_what_their_parents_are_for():
    """What the paper has it for: TopK saves a code where a child's direction has its parent's in it."""
    atoms, x = families()
    kinds = {"topk": {}, "matryoshka": OWN | {"prefixes": [16 / 72]}}
    found = {kind: folded(member_of(kind, own, Penalty(k=4), 400, (72, 64)), x) for kind, own in kinds.items()}
    shares = {kind: absorbed(atoms, each) for kind, each in found.items()}
    assert shares["topk"] > 0.4
    assert shares["matryoshka"] < 0.25
    assert mmcs(atoms[:8], found["matryoshka"].atoms) > 0.9

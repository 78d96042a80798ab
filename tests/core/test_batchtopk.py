"""BatchTopK: what it keeps of a batch, its threshold, and a planted dictionary found with k codes on average."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty, Terms
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.io import dictionaries
from tests.core.test_topk_aux import GOLDEN, SIZES, case, check_slopes, close, folded_from, largest, trained
from tests.planted import plant

OWN = {"aux_weight": 1.0, "dead_after": 5000, "threshold_rate": 0.01}


def of_all(k):
    """The k * batch largest of a batch, by sorting all of it."""
    return lambda m: largest(m.ravel(), len(m) * k).reshape(m.shape)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 70), weight=st.floats(0, 3), data=st.data(), **SIZES)
def test_slopes_are_those_by_hand(seed, k, weight, data, n_feat, d_act, batch):
    parameters, z = case("batchtopk", seed, n_feat, d_act, batch)
    silent = data.draw(st.lists(st.integers(0, 9), min_size=n_feat, max_size=n_feat))
    made = build("batchtopk", OWN | {"aux_weight": weight, "dead_after": data.draw(st.integers(1, 12))})
    check_slopes(made, parameters, z, k, silent, of_all(k))


def test_some_vectors_have_more_codes_than_others_and_all_have_k_on_average():
    parameters, z = case("batchtopk", 2, 40, 12, 50)
    z *= torch.linspace(0.1, 3, 50)[:, None]
    made = build("batchtopk", OWN)
    counts = (made.loss(parameters, made.state(parameters), z, Penalty(k=4)).codes > 0).sum(1)
    assert int(counts.sum()) == 200
    assert counts.min() < 3 < 8 < counts.max()


@pytest.mark.parametrize("rate", [0.02, 0.5, 1.0])
def test_the_threshold_is_the_mean_of_the_smallest_codes_then_a_running_one(rate):
    made, generator = build("batchtopk", OWN | {"threshold_rate": rate}), np.random.default_rng(3)
    parameters, _ = case("batchtopk", 0, 6, 4, 1)
    state, smallest, wanted = made.state(parameters), [], 0.0
    for _ in range(120):
        codes = generator.random((5, 6)) * (generator.random((5, 6)) < 0.05)
        made.after(parameters, state, Terms(torch.zeros(()), torch.zeros(()), torch.from_numpy(codes).float()))
        if codes.any():
            smallest.append(codes[codes > 0].min())
            early = len(smallest) <= 1 / rate
            wanted = np.mean(smallest) if early else (1 - rate) * wanted + rate * smallest[-1]
        assert float(state["threshold"]) == pytest.approx(wanted, rel=1e-5)
    assert 50 < len(smallest) < 120  # some batches had no code


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_a_file_has_the_codes_of_the_loss_where_the_threshold_is_that_of_the_batch(scale, tmp_path):
    parameters, z = case("batchtopk", 5, 40, 12, 60)
    parameters, z = {name: value.float() for name, value in parameters.items()}, z.float()
    mean = torch.randn(12, generator=torch.Generator().manual_seed(1))
    made = build("batchtopk", OWN)
    state = made.state(parameters)
    terms = made.loss(parameters, state, z, Penalty(k=3))
    made.after(parameters, state, terms)
    state["threshold"] *= 0.9999  # what is above it: the smallest code of the batch too
    found = made.fold(parameters, state, mean, scale, Penalty(k=3))
    dictionaries.save(tmp_path / "d.safetensors", found, {})
    for dictionary in (found, dictionaries.load(tmp_path / "d.safetensors")):
        codes = dictionary.encode(mean + scale * z)
        torch.testing.assert_close(codes, scale * terms.codes, rtol=1e-4, atol=1e-5)
        assert int((codes > 0).sum()) == 180
    alone = torch.cat([found.encode(mean + scale * row) for row in z]).reshape(60, 40)
    torch.testing.assert_close(alone, codes, rtol=1e-5, atol=1e-5)  # not a matter of the vectors beside it


def test_codes_are_those_of_saelens_own_classes_in_training_and_in_use():
    """A checkpoint of theirs: what it keeps of a batch of 64 vectors, and above its threshold."""
    threshold = load_file(GOLDEN / "saelens/checkpoint_batchtopk" / "sae_weights.safetensors")["topk_threshold"]
    made, state = build("batchtopk", OWN), lambda tensors: {"threshold": threshold.float()}
    parameters, found, _, expected = folded_from(made, "saelens/checkpoint_batchtopk", state, Penalty(k=3), True)
    codes = found.encode(expected["x"])
    assert close(codes, expected["codes"])
    assert ((codes > 0) == (expected["codes"] > 0)).all()
    assert close(found.reconstruct(expected["x"]), expected["x_hat"])
    terms = made.loss(parameters, made.state(parameters), expected["x"], Penalty(k=3))
    assert close(terms.codes, expected["codes_training_class"])
    assert int((terms.codes > 0).sum()) == 3 * 64
    assert float(terms.mse) == pytest.approx(
        float((expected["x_hat_training_class"] - expected["x"]).square().mean()), rel=1e-4
    )


def test_a_planted_dictionary_is_found_with_k_codes_on_average():
    planted, k = plant(), 4
    member, found = trained("batchtopk", OWN, planted.x[:54_000], k)
    codes = found.encode(planted.x[54_000:])
    assert mmcs(planted.atoms, found.atoms) > 0.93
    assert float((codes > 0).sum(1).float().mean()) == pytest.approx(
        k, rel=0.05
    )  # none of these vectors were trained on
    assert (codes > 0).sum(1).float().std() > 1
    assert all(line["l0"] == k for line in member.log)

"""Transcoders: the peers' own outputs, slopes by hand, what a file makes of raw vectors, and a planted one found."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.core.training import processor
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.errors import BadInput
from tests.architectures import ADAM
from tests.planted import plant_step

GOLDEN = Path(__file__).parent.parent / "golden"
KINDS = ("transcoder", "skip_transcoder")
OWN = {"aux_weight": 1.0, "dead_after": 5000}
SIZES = {"n_feat": st.integers(1, 40), "d_in": st.integers(1, 12), "d_out": st.integers(1, 12)}


def case(kind, seed, n_feat, d_in, d_out, batch=20, **own):
    """An architecture, parameters in float64 away from their start, and vectors of both places."""
    generator = torch.Generator().manual_seed(seed)
    made = build(kind, OWN | own, d_in)
    parameters = {name: value.double() for name, value in made.init(n_feat, d_in + d_out, generator).items()}
    for value in parameters.values():
        value.add_(0.3 * torch.randn(value.shape, generator=generator, dtype=torch.float64) / d_in**0.5)
    parameters["decoder"] = torch.nn.functional.normalize(parameters["decoder"], dim=1)
    return made, parameters, torch.randn(batch, d_in + d_out, generator=generator, dtype=torch.float64)


def largest(values, k):
    """The k largest of a list that are positive, by sorting."""
    kept = np.zeros_like(values)
    for index in np.argsort(-values, kind="stable")[:k]:
        kept[index] = max(values[index], 0)
    return kept


def by_hand(parameters, z, d_in, k, dead, weight):
    """Loss, codes and slopes of the formulas, in numpy: each code that is kept has the slope 1."""
    p = {name: value.numpy() for name, value in parameters.items()}
    x, y = z.numpy()[:, :d_in], z.numpy()[:, d_in:]
    m = x @ p["encoder"].T + p["bias"]
    codes, aux = np.array([largest(row, k) for row in m]), np.zeros_like(m)
    for row in range(len(m)):
        aux[row, dead] = largest(m[row, dead], max(y.shape[1] // 2, 1))
    left = y - codes @ p["decoder"] - p["decoder_bias"] - x @ p.get("skip", np.zeros((d_in, y.shape[1])))
    wrong = left - aux @ p["decoder"]
    d_left, d_wrong = 2 * left / left.size, (2 * weight * wrong / wrong.size if len(dead) else 0 * wrong)
    d_decoder = -codes.T @ d_left - aux.T @ d_wrong
    d_decoder -= (d_decoder * p["decoder"]).sum(1, keepdims=True) * p["decoder"]
    d_m = -(d_left @ p["decoder"].T) * (codes > 0) - (d_wrong @ p["decoder"].T) * (aux > 0)
    slopes = {"encoder": d_m.T @ x, "bias": d_m.sum(0), "decoder": d_decoder, "decoder_bias": -d_left.sum(0)}
    loss = (left**2).mean() + (weight * (wrong**2).mean() if len(dead) else 0)
    return loss, codes, slopes | ({"skip": -x.T @ d_left} if "skip" in p else {})


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 10_000), st.integers(1, 50), st.floats(0, 3), st.data())
def test_loss_and_slopes_are_those_by_hand(kind, seed, k, weight, data):
    sizes = {name: data.draw(size) for name, size in SIZES.items()}
    silent = np.array(data.draw(st.lists(st.integers(0, 9), min_size=sizes["n_feat"], max_size=sizes["n_feat"])))
    check_slopes(kind, seed, k, weight, sizes, silent)


def check_slopes(kind, seed, k, weight, sizes, silent):
    made, parameters, z = case(kind, seed, **sizes, aux_weight=weight, dead_after=5)
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    terms = made.loss(leaves, {"silent": torch.tensor(silent)}, z, Penalty(k=k))
    slopes_found = torch.autograd.grad(terms.loss, leaves.values(), materialize_grads=True)
    found = dict(zip(leaves, slopes_found, strict=True))
    loss, codes, slopes = by_hand(parameters, z, sizes["d_in"], k, np.flatnonzero(silent >= 5), weight)
    assert float(terms.loss.detach()) == pytest.approx(loss, rel=1e-9)
    np.testing.assert_allclose(terms.codes.detach().numpy(), codes, rtol=1e-9, atol=1e-12)
    assert found.keys() == slopes.keys()
    for name, slope in slopes.items():
        np.testing.assert_allclose(found[name].numpy(), slope, rtol=1e-7, atol=1e-10, err_msg=name)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(KINDS), st.integers(0, 10_000), st.floats(0.01, 100), st.floats(0.01, 100), st.data())
def test_a_file_makes_of_raw_vectors_what_training_made_of_normalised_ones(kind, seed, of_x, of_y, data):
    check_file(kind, seed, of_x, of_y, {name: data.draw(size) for name, size in SIZES.items()})


def check_file(kind, seed, of_x, of_y, sizes):
    d_in, d_out = sizes["d_in"], sizes["d_out"]
    made, parameters, z = case(kind, seed, **sizes)
    mean = 5 * torch.randn(d_in + d_out, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    scale = torch.tensor([of_x] * d_in + [of_y] * d_out, dtype=torch.float64)
    _, codes, _ = by_hand(parameters, z, d_in, 3, np.array([], int), 0.0)
    p = {name: value.numpy() for name, value in parameters.items()}
    y_hat = codes @ p["decoder"] + p["decoder_bias"]
    y_hat += z[:, :d_in].numpy() @ p["skip"] if "skip" in p else 0
    found = made.fold(parameters, made.state(parameters), mean, scale, Penalty(k=3))
    raw = mean + scale * z
    x = raw[:, :d_in]
    np.testing.assert_allclose(found.encode(x).numpy(), of_y * codes, rtol=1e-7, atol=1e-9 * of_y)
    wanted = mean[d_in:].numpy() + of_y * y_hat
    np.testing.assert_allclose(found.reconstruct(x).numpy(), wanted, rtol=1e-7, atol=1e-7 * (1 + of_y))
    without = found.decode(found.encode(x)) - found.reconstruct(x)
    assert bool(without.any()) == (kind == "skip_transcoder")


def close(found, wanted):
    return (found - wanted).abs().max() < 2e-5 * wanted.abs().max().clamp(min=1)


def golden(folder):
    (weights,) = [path for path in (GOLDEN / folder).rglob("*.safetensors") if path.name != "expected.safetensors"]
    return load_file(weights), load_file(GOLDEN / folder / "expected.safetensors")


def check_outputs(dictionary, norms, expected):
    """Ours of unit rows: the lengths of theirs are gains of its codes."""
    codes = dictionary.encode(expected["x"])
    assert close(codes, expected["codes"])
    assert ((codes > 0) == (expected["codes"] > 0)).all()
    assert close(dictionary.with_gain(norms).reconstruct(expected["x"]), expected["x_hat"])


def test_outputs_are_those_of_sparsify_by_its_own_weights_in_our_training():
    tensors, expected = golden("sparsify/skip_transcoder")
    norms = tensors["W_dec"].norm(dim=1)
    parameters = {
        "encoder": tensors["encoder.weight"], "bias": tensors["encoder.bias"], "skip": tensors["W_skip"].T,
        "decoder": tensors["W_dec"] / norms[:, None], "decoder_bias": tensors["b_dec"],
    }  # fmt: skip
    found = build("skip_transcoder", OWN, 12).fold(parameters, {}, torch.zeros(24), 1.0, Penalty(k=5))
    check_outputs(found, norms, expected)


def test_outputs_are_those_of_saelens_skip_transcoder():
    tensors, expected = golden("saelens/skip_transcoder")
    norms, centre, ones = tensors["W_dec"].norm(dim=1), torch.zeros(12), torch.ones(20)
    found = Dictionary(
        tensors["W_enc"].T, tensors["b_enc"], tensors["W_dec"] / norms[:, None], centre, ones,
        out_centre=tensors["b_dec"], skip=tensors["W_skip"].T,
    )  # fmt: skip
    check_outputs(found, norms, expected)


def test_outputs_are_those_of_an_affine_transcoder_of_gemma_scope_2():
    tensors, expected = golden("gemma_scope_2/transcoder_affine")
    norms, centre, ones = tensors["w_dec"].norm(dim=1), torch.zeros(12), torch.ones(24)
    found = Dictionary(
        tensors["w_enc"].T, tensors["b_enc"], tensors["w_dec"] / norms[:, None], centre, ones, activation="jumprelu",
        threshold=tensors["threshold"], out_centre=tensors["b_dec"], skip=tensors["affine_skip_connection"],
    )  # fmt: skip
    check_outputs(found, norms, expected)


def test_a_kind_of_pairs_is_built_for_pairs_alone():
    with pytest.raises(BadInput, match="vectors of one place"):
        build("transcoder", OWN)
    with pytest.raises(BadInput, match="those of a pair"):
        build("topk", {}, 12)


def trained(kind, x, y, k=4, steps=300, n_feat=96, lr=0.01):
    """The dictionary of a member, on vectors as they are."""
    raw = torch.cat([x, y], dim=1)
    mean = raw.mean(0)
    lengths = [float((part - part.mean(0)).norm(dim=1).mean()) for part in (x, y)]
    scale = torch.tensor([lengths[0]] * x.shape[1] + [lengths[1]] * y.shape[1])
    schedule = Schedule(steps=steps, lr=lr, warmup=15, decay=90, l1_warmup=0)
    own, shape = build(kind, OWN | {"dead_after": 10_000}, x.shape[1]), (n_feat, raw.shape[1])
    member = Trainee("m", own, shape, Penalty(k=k), 0, schedule, ADAM, 50)
    generator, z = torch.Generator().manual_seed(0), (raw - mean) / scale
    processor.train([member], (z[torch.randint(len(z), (256,), generator=generator)] for _ in range(steps)), 1)
    return own.fold(member.parameters, member.state, mean, scale, member.penalty)


def fvu(dictionary, x, y):
    return float((dictionary.reconstruct(x) - y).square().sum() / (y - y.mean(0)).square().sum())


def test_a_planted_step_from_one_place_to_another_is_found():
    step, cut = plant_step(), 18_000
    x, y, atoms = step.x, step.y, step.atoms
    found = trained("transcoder", x[:cut], y[:cut])
    assert mmcs(atoms, found.atoms) > 0.95
    assert fvu(found, x[cut:], y[cut:]) < 0.15
    best = (found.atoms @ atoms.T).argmax(0)  # what writes an atom of y looks where its codes lie in x
    looks = torch.nn.functional.normalize(found.encoder[best], dim=1)
    assert float((looks * step.read.atoms).sum(1).mean()) > 0.7


def test_a_skip_takes_what_is_linear():
    step, cut = plant_step(linear=60), 18_000
    x, dense = step.x, step.y
    plain, skipping = (trained(kind, x[:cut], dense[:cut]) for kind in KINDS)
    errors = [fvu(each, x[cut:], dense[cut:]) for each in (plain, skipping, replace(skipping, skip=None))]
    assert errors[1] < 0.4 * errors[0]
    assert errors[2] > 2 * errors[1]

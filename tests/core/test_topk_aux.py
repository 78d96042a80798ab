"""TopK with the auxiliary loss: its slopes, who is dead, and that it is this loss that revives them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty, Terms
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.core.training import processor
from sparse_coding.core.training.trainee import Schedule, Trainee
from tests.architectures import ADAM
from tests.planted import plant

OWN = {"aux_weight": 1.0, "dead_after": 5000}
GOLDEN = Path(__file__).parent.parent / "golden"


def case(kind, seed, n_feat, d_act, batch):
    """Parameters in float64, and vectors."""
    generator = torch.Generator().manual_seed(seed)
    made = build(kind, OWN | {"threshold_rate": 0.01})
    parameters = {name: value.double() for name, value in made.init(n_feat, d_act, generator).items()}
    for value in parameters.values():
        value.add_(0.3 * torch.randn(value.shape, generator=generator, dtype=torch.float64) / d_act**0.5)
    parameters["decoder"] = torch.nn.functional.normalize(parameters["decoder"], dim=1)
    return parameters, torch.randn(batch, d_act, generator=generator, dtype=torch.float64)


def largest(values, k):
    """The k largest of a list that are positive, by sorting."""
    kept = np.zeros_like(values)
    for index in np.argsort(-values, kind="stable")[:k]:
        kept[index] = max(values[index], 0)
    return kept


def by_hand(parameters, z, dead, weight, select):
    """Loss and slopes of the formulas, in numpy: each code that is kept has the slope 1."""
    p = {name: value.numpy() for name, value in parameters.items()}
    x = z.numpy() - p["decoder_bias"]
    m = x @ p["encoder"].T + p["bias"]
    codes, aux = select(m), np.zeros_like(m)
    for row in range(len(m)):
        aux[row, dead] = largest(m[row, dead], max(x.shape[1] // 2, 1))
    left = x - codes @ p["decoder"]
    wrong = left - aux @ p["decoder"]
    d_left, d_wrong = 2 * left / left.size, 2 * weight * wrong / wrong.size  # that of the second leaves `left` alone
    if not len(dead):
        d_wrong = 0 * d_wrong
    d_decoder = -codes.T @ d_left - aux.T @ d_wrong
    d_decoder -= (d_decoder * p["decoder"]).sum(1, keepdims=True) * p["decoder"]
    d_m = -(d_left @ p["decoder"].T) * (codes > 0) - (d_wrong @ p["decoder"].T) * (aux > 0)
    slopes = {
        "encoder": d_m.T @ x,
        "bias": d_m.sum(0),
        "decoder": d_decoder,
        "decoder_bias": -d_left.sum(0) - (d_m @ p["encoder"]).sum(0),
    }
    loss = (left**2).mean() + (weight * (wrong**2).mean() if len(dead) else 0)
    return loss, codes, slopes


def check_slopes(made, parameters, z, k, silent, select):
    """Those of autograd are those by hand."""
    state = made.state(parameters) | {"silent": torch.tensor(silent)}
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    terms = made.loss(leaves, state, z, Penalty(k=k))
    found = dict(zip(leaves, torch.autograd.grad(terms.loss, leaves.values()), strict=True))
    dead = np.flatnonzero(np.array(silent) >= made.dead_after)
    loss, codes, slopes = by_hand(parameters, z, dead, made.weight, select)
    assert float(terms.loss.detach()) == pytest.approx(loss, rel=1e-9)
    np.testing.assert_allclose(terms.codes.detach().numpy(), codes, rtol=1e-9, atol=1e-12)
    for name, slope in slopes.items():
        np.testing.assert_allclose(found[name].numpy(), slope, rtol=1e-7, atol=1e-10, err_msg=name)


SIZES = {"n_feat": st.integers(1, 60), "d_act": st.integers(1, 20), "batch": st.integers(1, 40)}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), k=st.integers(1, 70), weight=st.floats(0, 3), data=st.data(), **SIZES)
def test_slopes_are_those_by_hand(seed, k, weight, data, n_feat, d_act, batch):
    parameters, z = case("topk_aux", seed, n_feat, d_act, batch)
    silent = data.draw(st.lists(st.integers(0, 9), min_size=n_feat, max_size=n_feat))
    made = build("topk_aux", {"aux_weight": weight, "dead_after": data.draw(st.integers(1, 12))})
    check_slopes(made, parameters, z, k, silent, lambda m: np.array([largest(row, k) for row in m]))


def test_silence_is_counted_in_vectors_and_ends_with_a_code():
    made = build("topk_aux", OWN)
    parameters, z = case("topk_aux", 0, 3, 4, 5)
    state = made.state(parameters)
    for fires in ([0], [0, 1], [0], []):
        codes = torch.zeros(5, 3)
        codes[2, fires] = 1.0
        made.after(parameters, state, Terms(z.sum(), z.sum(), codes))
    assert state["silent"].tolist() == [5, 10, 20]
    state["silent"].fill_(2**24)  # float32 would count no further
    made.after(parameters, state, Terms(z.sum(), z.sum(), torch.zeros(1, 3)))
    assert state["silent"].tolist() == [2**24 + 1] * 3


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_a_file_has_the_codes_of_the_loss(scale):
    parameters, z = case("topk_aux", 5, 40, 12, 60)
    parameters, z = {name: value.float() for name, value in parameters.items()}, z.float()
    mean = torch.randn(12, generator=torch.Generator().manual_seed(1))
    made = build("topk_aux", OWN)
    codes = made.loss(parameters, made.state(parameters), z, Penalty(k=3)).codes
    found = made.fold(parameters, made.state(parameters), mean, scale, Penalty(k=3))
    torch.testing.assert_close(found.encode(mean + scale * z), scale * codes, rtol=1e-4, atol=1e-5)
    assert int((codes > 0).sum()) == 180


def folded_from(made, folder, state, penalty, norms_in_encoder):
    """Weights of SAELens in our names, folded, with their expected vectors. Their rows of the decoder have any length:
    here they are unit, and it is a gain, or in the encoder."""
    tensors, expected = (load_file(GOLDEN / folder / f"{name}.safetensors") for name in ("sae_weights", "expected"))
    norms = tensors["W_dec"].norm(dim=1)
    within = norms if norms_in_encoder else torch.ones_like(norms)
    parameters = {
        "encoder": tensors["W_enc"].T * within[:, None], "bias": tensors["b_enc"] * within,
        "decoder": tensors["W_dec"] / norms[:, None], "decoder_bias": tensors["b_dec"],
    }  # fmt: skip
    return parameters, made.fold(parameters, state(tensors), 0 * tensors["b_dec"], 1.0, penalty), norms, expected


def close(found, wanted):
    return (found - wanted).abs().max() < 2e-5 * wanted.abs().max().clamp(min=1)


def test_codes_are_those_of_saelens_own_class():
    made, state = build("topk_aux", OWN), lambda tensors: {}
    _, found, norms, expected = folded_from(made, "saelens/topk", state, Penalty(k=4), False)
    codes = found.encode(expected["x"])
    assert close(codes, expected["codes"])
    assert close(found.with_gain(norms).reconstruct(expected["x"]), expected["x_hat"])
    assert ((codes > 0) == (expected["codes"] > 0)).all()


def trained(kind, own, x, k, steps=500, seed=0, lr=0.01):
    """A member, and its dictionary on vectors as they are."""
    mean, scale = x.mean(0), float((x - x.mean(0)).norm(dim=1).mean())
    schedule = Schedule(steps=steps, lr=lr, warmup=25, decay=150, l1_warmup=0)
    member = Trainee("m", build(kind, own), (256, 64), Penalty(k=k), seed, schedule, ADAM, 50)
    generator = torch.Generator().manual_seed(seed)
    z = (x - mean) / scale
    processor.train([member], (z[torch.randint(len(z), (512,), generator=generator)] for _ in range(steps)), 1)
    return member, member.architecture.fold(member.parameters, member.state, mean, scale, member.penalty)


def test_a_planted_dictionary_is_found_and_it_is_the_auxiliary_loss_that_revives():
    planted = plant()
    found = {}
    for weight in (0.0, 1.0):
        _, dictionary = trained("topk_aux", OWN | {"aux_weight": weight}, planted.x[:54_000], 4)
        silent = (dictionary.encode(planted.x[54_000:]) > 0).sum(0) == 0
        found[weight] = mmcs(planted.atoms, dictionary.atoms), int(silent.sum())
    assert found[1.0][0] > 0.95
    assert found[1.0][0] > found[0.0][0] + 0.02
    assert found[1.0][1] < 0.4 * found[0.0][1]

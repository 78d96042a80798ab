"""JumpReLU: its slopes, what went wrong elsewhere, and a planted dictionary that is found with the wished L0."""

import json
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
from sparse_coding.io import dictionaries
from tests.architectures import ADAM
from tests.planted import plant

OWN = {"bandwidth": 0.05, "l0_weight": 10.0}
GOLDEN = Path(__file__).parent.parent / "golden"


def case(seed, n_feat, d_act, batch):
    """Parameters in float64 whose thresholds are of the size of pre-activations."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {name: value.double() for name, value in build("jumprelu", OWN).init(n_feat, d_act, generator).items()}
    for value in parameters.values():
        value.add_(0.3 * torch.randn(value.shape, generator=generator, dtype=torch.float64) / d_act**0.5)
    parameters["log_threshold"] += np.log(300.0)
    parameters["decoder"] = torch.nn.functional.normalize(parameters["decoder"], dim=1)
    return parameters, torch.randn(batch, d_act, generator=generator, dtype=torch.float64)


def by_hand(parameters, z, wished, bandwidth, weight):
    """The slopes as the paper writes them (Rajamanoharan et al. 2024, eq. 11 and 12), in numpy."""
    p = {name: value.numpy() for name, value in parameters.items()}
    theta, x = np.exp(p["log_threshold"]), z.numpy() - p["decoder_bias"]
    m = x @ p["encoder"].T + p["bias"]
    codes = m * (m > theta)
    residual = codes @ p["decoder"] - x
    d_x_hat = 2 * residual / residual.size
    l0 = (m > theta).sum(1).mean()
    d_l0 = 2 * weight / z.shape[1] * (l0 / wished - 1) / wished
    window = np.abs((m - theta) / bandwidth) < 0.5
    d_codes = d_x_hat @ p["decoder"].T
    d_theta = (-theta / bandwidth * window * d_codes - d_l0 / len(x) / bandwidth * window).sum(0)
    d_m = d_codes * (m > theta)
    d_decoder = codes.T @ d_x_hat
    d_decoder -= (d_decoder * p["decoder"]).sum(1, keepdims=True) * p["decoder"]
    slopes = {
        "encoder": d_m.T @ x,
        "bias": d_m.sum(0),
        "decoder": d_decoder,
        "decoder_bias": d_x_hat.sum(0) - d_m.sum(0) @ p["encoder"],
        "log_threshold": d_theta * theta,
    }
    loss = (residual**2).mean() + weight / z.shape[1] * (l0 / wished - 1) ** 2
    return loss, slopes


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), n_feat=st.integers(1, 60), d_act=st.integers(1, 20), batch=st.integers(1, 40),
    wished=st.floats(0.5, 30), bandwidth=st.floats(0.01, 0.5), weight=st.floats(0, 50),
)  # fmt: skip
def test_slopes_are_those_of_the_paper(seed, n_feat, d_act, batch, wished, bandwidth, weight):
    parameters, z = case(seed, n_feat, d_act, batch)
    architecture = build("jumprelu", {"bandwidth": bandwidth, "l0_weight": weight})
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    terms = architecture.loss(leaves, {}, z, Penalty(l0=wished))
    found = dict(zip(leaves, torch.autograd.grad(terms.loss, leaves.values()), strict=True))
    loss, wanted = by_hand(parameters, z, wished, bandwidth, weight)
    assert float(terms.loss.detach()) == pytest.approx(loss, rel=1e-9)
    for name, slope in wanted.items():
        np.testing.assert_allclose(found[name].numpy(), slope, rtol=1e-7, atol=1e-9, err_msg=name)


def test_while_it_is_warmed_up_the_penalty_is_smaller_and_the_wish_the_same():
    parameters, z = case(3, 40, 12, 30)
    losses = [
        float(build("jumprelu", OWN).loss(parameters, {}, z, Penalty(l0=4.0, warm=warm)).loss)
        for warm in (0.0, 0.5, 1.0)
    ]
    assert losses[1] == pytest.approx((losses[0] + losses[2]) / 2)
    assert losses[2] > losses[0]


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_a_threshold_is_applied_once_also_from_a_file(scale, tmp_path):
    """SAELens 494: not twice, and in the units of the vectors."""
    parameters, z = case(5, 40, 12, 60)
    parameters = {name: value.float() for name, value in parameters.items()}
    mean = torch.randn(12, generator=torch.Generator().manual_seed(1))
    architecture = build("jumprelu", OWN)
    codes = architecture.loss(parameters, {}, z.float(), Penalty(l0=4.0)).codes
    made = architecture.fold(parameters, {}, mean, scale, Penalty(l0=4.0))
    dictionaries.save(tmp_path / "d.safetensors", made, {})
    for dictionary in (made, dictionaries.load(tmp_path / "d.safetensors")):
        torch.testing.assert_close(dictionary.encode(mean + scale * z.float()), scale * codes, rtol=1e-4, atol=1e-5)
        some = [3, 17, 3]
        x = mean + scale * z.float()
        torch.testing.assert_close(dictionary.encode_features(x, some), dictionary.encode(x)[:, some])
    assert (codes > 0).any()
    assert codes[codes > 0].min() > 0.05  # what is above a threshold is well above 0


def trained(x, wished, seed=0, steps=900, train=processor.train, own=OWN, density=0.1, lr=0.01):
    mean = x.mean(0)
    z = (x - mean) / (x - mean).norm(dim=1).mean()
    schedule = Schedule(steps=steps, lr=lr, warmup=45, decay=300, l1_warmup=45)
    member = Trainee("j", build("jumprelu", own), (256, 64), Penalty(l0=wished), seed, schedule, ADAM, 50, density)
    generator = torch.Generator().manual_seed(seed)
    order = (torch.randint(len(z), (512,), generator=generator) for _ in range(steps))
    train([member], (z[rows] for rows in order), 1)
    return member, mean, float((x - mean).norm(dim=1).mean())


def test_a_planted_dictionary_is_found_with_the_wished_number_of_codes():
    """Fewer are wished for in tests/test_gate.py."""
    planted, wished = plant(), 8.0
    member, mean, scale = trained(planted.x[:54_000], wished, steps=700)
    found = member.architecture.fold(member.parameters, member.state, mean, scale, member.penalty)
    codes = found.encode(planted.x[54_000:])
    assert float((codes > 0).sum(1).float().mean()) == pytest.approx(wished, rel=0.03)
    assert mmcs(planted.atoms, found.atoms) > 0.85
    thresholds = member.parameters["log_threshold"]
    assert thresholds.std() > 0.05  # each has its own
    log = [line["l0"] for line in member.log]
    assert log[0] > 1.5 * wished
    assert np.mean(log[-4:]) == pytest.approx(wished, rel=0.1)


@pytest.mark.parametrize("start", [1e-3, 0.3])
def test_thresholds_move_from_wherever_they_begin(start):
    """SAELens 718: steps of Adam too small for a threshold; dictionary_learning 55: it does not move."""
    planted = plant(rows=20_000)
    schedule = Schedule(steps=700, lr=0.01, warmup=35, decay=200, l1_warmup=35)
    member = Trainee("j", build("jumprelu", OWN), (256, 64), Penalty(l0=8.0), 0, schedule, ADAM, 50)
    member.parameters["log_threshold"].fill_(float(np.log(start)))
    z = planted.x / planted.x.norm(dim=1).mean()
    generator = torch.Generator().manual_seed(0)
    member.train(z[torch.randint(len(z), (512,), generator=generator)] for _ in range(700))
    moved = (member.parameters["log_threshold"] - np.log(start)).abs()
    assert (moved > 0.5).float().mean() > 0.5
    assert 1 < np.mean([line["l0"] for line in member.log[-3:]]) < 16


@pytest.mark.parametrize("weight", [3.0, 30.0])
def test_a_heavier_penalty_pulls_no_less(weight):
    """SAELens 720: a coefficient that saturates."""
    planted = plant(rows=20_000)
    member, _, _ = trained(planted.x, 8.0, steps=450, own={**OWN, "l0_weight": weight})
    assert np.mean([line["l0"] for line in member.log[-3:]]) == pytest.approx(8, rel=0.12 if weight < 10 else 0.08)


def tensors_of(folder: Path):
    if (folder / "sae_weights.safetensors").exists():
        return load_file(folder / "sae_weights.safetensors")
    (file,) = folder.rglob("params.npz")
    return {name: torch.from_numpy(value) for name, value in np.load(file).items()}


@pytest.mark.parametrize("name", ["saelens/jumprelu", "gemma_scope/residual"])
def test_codes_are_those_of_the_peers_own_classes(name):
    folder = GOLDEN / name
    expected = load_file(folder / "expected.safetensors")
    made = json.loads((folder / "made.json").read_text())
    tensors = tensors_of(folder)
    norms = tensors["W_dec"].norm(dim=1)
    is_centred = "not centred" not in made["notes"]
    theirs = Dictionary(
        encoder=tensors["W_enc"].T.contiguous(),
        bias=tensors["b_enc"] - (0 if is_centred else -1) * (tensors["W_enc"].T @ tensors["b_dec"]),
        decoder=tensors["W_dec"] / norms[:, None],
        centre=tensors["b_dec"],
        gain=norms,
        activation="jumprelu",
        threshold=tensors["threshold"],
    )
    tolerance = 2e-5 * expected["codes"].abs().max().clamp(min=1)
    assert (theirs.encode(expected["x"]) / norms - expected["codes"]).abs().max() < tolerance
    assert (theirs.reconstruct(expected["x"]) - expected["x_hat"]).abs().max() < tolerance
    assert ((theirs.encode(expected["x"]) > 0) == (expected["codes"] > 0)).all()


def one(**fields):
    eye, zeros = torch.eye(3), torch.zeros(3)
    return Dictionary(encoder=eye, bias=zeros, decoder=eye, centre=zeros, gain=torch.ones(3), **fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"activation": "jumprelu"}, "jumprelu with no threshold"),
     ({"threshold": torch.ones(3)}, "relu with a threshold"),
     ({"activation": "jumprelu", "threshold": -torch.ones(3)}, "a threshold below 0"),
     ({"activation": "topk", "k": 0}, "topk with k 0")],
)  # fmt: skip
def test_what_no_dictionary_is(fields, said):
    with pytest.raises(BadInput, match=said):
        one(**fields)


def test_what_is_below_all_numbers_of_half_precision_is_silent_and_what_is_none_stays_none():
    encoder, ones = torch.tensor([[-1.0, -1.0], [1.0, 0.0]]), torch.ones(2)
    found = Dictionary(encoder, 0 * ones, torch.eye(2), 0 * ones, ones, activation="jumprelu", threshold=0 * ones)
    codes = found.to(torch.float16).encode(torch.tensor([[40_000.0, 40_000.0], [1.0, 1.0], [torch.nan, 1.0]]))
    assert codes[:2].tolist() == [[0, 40_000], [0, 1]]
    assert not torch.signbit(codes[:2]).any()
    assert codes[2].isnan().all()

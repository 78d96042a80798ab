"""Gated: its slopes, its dictionary against the peers' classes, and a planted dictionary that is found."""

import inspect
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from sparse_coding.core.architectures import build, gated
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.core.training import processor
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.io import dictionaries
from sparse_coding.settings.params import Dictionaries
from tests.architectures import ADAM
from tests.planted import plant

GOLDEN = Path(__file__).parent.parent / "golden"
OWN = Dictionaries().gated


def case(seed, n_feat, d_act, batch):
    """Parameters in float64, as they might be in the middle of a training."""
    generator = torch.Generator().manual_seed(seed)
    parameters = {name: value.double() for name, value in build("gated", {}).init(n_feat, d_act, generator).items()}
    for value in parameters.values():
        value.add_(0.4 * torch.randn(value.shape, generator=generator, dtype=torch.float64))
    parameters["decoder"] = torch.nn.functional.normalize(parameters["decoder"], dim=1)
    return parameters, torch.randn(batch, d_act, generator=generator, dtype=torch.float64)


def by_hand(parameters, z, l1):
    """The loss and its slopes as the paper's section 3.2 has them, in numpy."""
    p = {name: value.numpy() for name, value in parameters.items()}
    x, scales, atoms = z.numpy() - p["decoder_bias"], np.exp(p["log_scale"]), p["decoder"]
    shared = x @ p["encoder"].T
    gates, magnitudes = shared + p["gate_bias"], scales * shared + p["magnitude_bias"]
    is_open = gates > 0
    codes = np.maximum(magnitudes, 0) * is_open
    residual, by_gates = codes @ atoms - x, np.maximum(gates, 0) @ atoms - x
    d_x_hat, d_by_gates = 2 * residual / x.size, 2 * by_gates / x.size
    d_magnitudes = d_x_hat @ atoms.T * is_open * (magnitudes > 0)
    d_gates = (d_by_gates @ atoms.T + l1 / len(x)) * is_open
    d_shared = scales * d_magnitudes + d_gates
    d_decoder = codes.T @ d_x_hat
    slopes = {
        "encoder": d_shared.T @ x,
        "gate_bias": d_gates.sum(0),
        "log_scale": (d_magnitudes * scales * shared).sum(0),
        "magnitude_bias": d_magnitudes.sum(0),
        "decoder": d_decoder - (d_decoder * atoms).sum(1, keepdims=True) * atoms,
        "decoder_bias": d_x_hat.sum(0) - d_shared.sum(0) @ p["encoder"],
    }
    penalty = l1 * np.maximum(gates, 0).sum() / len(x)
    return (residual**2).mean() + (by_gates**2).mean() + penalty, slopes


def check_slopes(architecture, parameters, z, l1):
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    terms = architecture.loss(leaves, {}, z, Penalty(l1=l1))
    found = dict(zip(leaves, torch.autograd.grad(terms.loss, leaves.values()), strict=True))
    loss, wanted = by_hand(parameters, z, l1)
    assert float(terms.loss.detach()) == pytest.approx(loss, rel=1e-9)
    for name, slope in wanted.items():
        np.testing.assert_allclose(found[name].numpy(), slope, rtol=1e-7, atol=1e-9, err_msg=name)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000), n_feat=st.integers(1, 60), d_act=st.integers(1, 20), batch=st.integers(1, 40),
    l1=st.floats(0, 0.1),
)  # fmt: skip
def test_slopes_are_those_of_the_paper(seed, n_feat, d_act, batch, l1):
    check_slopes(build("gated", {}), *case(seed, n_feat, d_act, batch), l1)


def check_fold(architecture, scale, tmp_path):
    """Codes of the saved dictionary, on raw vectors, are those of the loss."""
    parameters, z = case(5, 40, 12, 60)
    parameters, z = {name: value.float() for name, value in parameters.items()}, z.float()
    mean = torch.randn(12, generator=torch.Generator().manual_seed(1))
    terms = architecture.loss(parameters, {}, z, Penalty(l1=0.01))
    made = architecture.fold(parameters, {}, mean, scale, Penalty(l1=0.01))
    dictionaries.save(tmp_path / "d.safetensors", made, {})
    for dictionary in (made, dictionaries.load(tmp_path / "d.safetensors")):
        x = mean + scale * z
        torch.testing.assert_close(dictionary.encode(x), scale * terms.codes, rtol=1e-4, atol=1e-4 * scale)
        mse = (dictionary.reconstruct(x) - x).square().mean() / scale**2
        torch.testing.assert_close(mse, terms.mse, rtol=1e-4, atol=1e-6)
    thresholds = parameters["magnitude_bias"] - parameters["log_scale"].exp() * parameters["gate_bias"]
    assert (thresholds < 0).any()
    assert (thresholds > 0.1).any()


@pytest.mark.parametrize("scale", [1.0, 7.5])
def test_what_is_saved_is_what_was_trained(scale, tmp_path):
    check_fold(build("gated", {}), scale, tmp_path)


MUTATIONS = {
    "no auxiliary loss": (" + by_gates,", ","),
    "its decoder learns": ("atoms.detach()", "atoms"),
    "its centre learns": ('"decoder_bias"].detach()', '"decoder_bias"]'),
    "the penalty shrinks codes": ("gates.sum()", "codes.sum()"),
    "a gate without a bias": ("(gates > 0)", "(shared > 0)"),
    "the scale is not in the threshold": ("- scales * parameters", "- parameters"),
    "the threshold is not in the units of vectors": ("clamp(min=0) * scale", "clamp(min=0)"),
}


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_each_mutation_is_caught(mutation, tmp_path):
    old, new = MUTATIONS[mutation]
    source = inspect.getsource(gated)
    assert source.count(old) == 1
    broken = ModuleType(gated.__name__)
    exec(source.replace(old, new), vars(broken))

    def checks():
        check_slopes(broken.build({}), *case(3, 30, 10, 20), 0.05)
        check_fold(broken.build({}), 7.5, tmp_path)

    with pytest.raises(AssertionError):
        checks()


def member_of(kind, own, penalty, steps, shape=(256, 64), lr=0.01, seed=0):
    schedule = Schedule(steps=steps, lr=lr, warmup=steps // 20, decay=steps * 3 // 10, l1_warmup=steps // 10)
    return Trainee(f"m{seed}", build(kind, own, own.get("d_in")), shape, penalty, seed, schedule, ADAM, 50, 0.1)


def batches_of(z, steps, size=512):
    generator = torch.Generator().manual_seed(0)
    return [z[torch.randint(len(z), (size,), generator=generator)] for _ in range(steps)]


def folded(member, x):
    """Trained on x."""
    mean = x.mean(0)
    scale = float((x - mean).norm(dim=1).mean())
    member.train(iter(batches_of((x - mean) / scale, member.schedule.steps)))
    return member.architecture.fold(member.parameters, member.state, mean, scale, member.penalty)


def test_a_planted_dictionary_is_found_and_its_codes_are_not_shrunk():
    planted = plant(rows=24_000)
    found = folded(member_of("gated", {}, Penalty(l1=6e-3), 450, lr=OWN.lr), planted.x[:20_000])
    held_out = planted.x[20_000:]
    codes = found.encode(held_out)
    assert mmcs(planted.atoms, found.atoms) > 0.92
    assert 3 < float((codes > 0).sum(1).float().mean()) < 7
    x_hat = found.decode(codes) - found.centre
    wanted = held_out - found.centre
    # The best factor on all that is put together: of `untied` at this L0 it is 1.24.
    assert float((x_hat * wanted).sum() / x_hat.square().sum()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("kept_at", [0, 1, 37])
def test_taken_up_again_the_bytes_are_those_of_one_that_was_left_alone(kept_at):
    check_taking_up("gated", {}, Penalty(l1=2e-3), kept_at)


def check_taking_up(kind, own, penalty, kept_at):
    batches = batches_of(plant(rows=2000, d_act=12, n_feat=24).x, 60, 64)
    alone, first, second = (member_of(kind, own, penalty, 60, (36, 12)) for _ in range(3))
    alone.train(batches)
    first.train(batches[:kept_at])
    second.take_up(*first.kept())
    second.train(batches[kept_at:])
    assert second.log == alone.log
    for name, tensor in alone.kept()[0].items():
        assert torch.equal(second.kept()[0][name], tensor), name


def check_company(kind, own, penalty):
    batches = batches_of(plant(rows=2000, d_act=12, n_feat=24).x, 30, 64)
    alone = [member_of(kind, own, penalty, 30, (36, 12))]
    company = [member_of(kind, own, penalty, 30, (36, 12), seed=seed) for seed in range(3)]
    processor.train(alone, iter(batches), 1)
    processor.train(company, iter(batches), 2)
    assert all(torch.equal(company[0].parameters[name], each) for name, each in alone[0].parameters.items())
    assert not torch.equal(company[0].parameters["encoder"], company[1].parameters["encoder"])


def test_alone_or_in_company_with_one_thread_or_two_the_same_bytes():
    check_company("gated", {}, Penalty(l1=2e-3))


def test_before_the_first_step_the_share_of_gates_that_is_wished_for_is_open():
    z = torch.randn(200, 12, generator=torch.Generator().manual_seed(2))
    architecture = build("gated", {})
    parameters = architecture.init(36, 12, torch.Generator().manual_seed(0))
    for density in (0.5, 0.1, 1e-9):
        architecture.begin(parameters, z, density)
        codes = architecture.loss(parameters, {}, z, Penalty()).codes
        assert int((codes > 0).sum()) == max(round(density * codes.numel()), 1)


NAMES = {  # ours: SAELens', dictionary_learning's
    "encoder": ("W_enc", "encoder.weight"),
    "gate_bias": ("b_gate", "gate_bias"),
    "log_scale": ("r_mag", "r_mag"),
    "magnitude_bias": ("b_mag", "mag_bias"),
    "decoder": ("W_dec", "decoder.weight"),
    "decoder_bias": ("b_dec", "decoder_bias"),
}


@pytest.mark.parametrize("name", ["saelens/gated", "dictionary_learning/gated"])
def test_codes_are_those_of_the_peers_own_classes(name):
    folder, is_saelens = GOLDEN / name, name.startswith("saelens")
    if is_saelens:
        theirs = load_file(folder / "sae_weights.safetensors")
    else:
        theirs = torch.load(folder / "trainer_0" / "ae.pt", weights_only=True)
    parameters = {ours: theirs[names[0 if is_saelens else 1]] for ours, names in NAMES.items()}
    transposed = "encoder" if is_saelens else "decoder"
    parameters[transposed] = parameters[transposed].T.contiguous()
    expected, norms = load_file(folder / "expected.safetensors"), parameters["decoder"].norm(dim=1)
    parameters["decoder"] = parameters["decoder"] / norms[:, None]
    d_act = len(parameters["decoder_bias"])
    found = build("gated", {}).fold(parameters, {}, torch.zeros(d_act), 1.0, Penalty())
    tolerance = 2e-5 * expected["codes"].abs().max().clamp(min=1)
    codes = found.encode(expected["x"])
    assert ((codes > 0) == (expected["codes"] > 0)).all()
    assert (codes - expected["codes"]).abs().max() < tolerance
    with_lengths = replace(found, gain=norms)
    assert (with_lengths.reconstruct(expected["x"]) - expected["x_hat"]).abs().max() < tolerance

"""Matching pursuit against its definition step by step, against the peer's class, and as a dictionary encodes by it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary, keep_largest
from sparse_coding.core.finder import largest_codes
from sparse_coding.core.pursuit import _pursued, matching_pursuit
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries

GOLDEN = Path(__file__).parent.parent / "golden" / "saelens/matching_pursuit"


def by_hand(x, atoms, steps):
    """As in the docstring, a vector after another, with what is left itself; and its length after each step."""
    x, atoms = x.double().numpy(), atoms.double().numpy()
    codes, lengths = np.zeros((len(x), len(atoms))), []
    for row, count in enumerate(steps.tolist()):
        left = x[row].copy()
        for _ in range(count):
            products = [float(left @ atom) for atom in atoms]
            best = int(np.argmax(products))
            if products[best] <= 0:
                break
            codes[row, best] += products[best]
            before, left = np.linalg.norm(left), left - products[best] * atoms[best]
            lengths.append((before, np.linalg.norm(left), products[best]))
    return codes, lengths


def case(seed, n_feat, d_act, rows, most):
    generator = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(n_feat, d_act, generator=generator, dtype=torch.float64), dim=1)
    x = torch.randn(rows, d_act, generator=generator, dtype=torch.float64)
    return x, atoms, torch.randint(0, most + 1, (rows,), generator=generator)


SHAPES = {
    "seed": st.integers(0, 2**20), "n_feat": st.integers(1, 40), "d_act": st.integers(1, 12),
    "rows": st.integers(0, 6), "most": st.integers(0, 25),
}  # fmt: skip


@given(**SHAPES)
@settings(max_examples=60, deadline=None)
def test_it_is_its_definition_and_what_is_left_never_grows(seed, n_feat, d_act, rows, most):
    x, atoms, steps = case(seed, n_feat, d_act, rows, most)
    wanted, lengths = by_hand(x, atoms, steps)
    found = matching_pursuit(x, atoms, steps)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-9)
    for before, after, product in lengths:
        assert after**2 == pytest.approx(before**2 - product**2, abs=1e-9)
    assert ((found != 0).sum(dim=1) <= steps).all()


@given(**SHAPES)
@settings(max_examples=60, deadline=None)
def test_the_compiled_loops_take_the_same_steps(seed, n_feat, d_act, rows, most):
    x, atoms, steps = case(seed, n_feat, d_act, rows, most)
    x, atoms = x.float(), atoms.float()
    found = matching_pursuit(x, atoms, steps)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, _pursued(x @ atoms.T, atoms @ atoms.T, steps), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found, matching_pursuit(x, atoms, steps, atoms @ atoms.T))


def test_half_precision_takes_its_steps_in_float32():
    x, atoms, steps = case(0, 30, 8, 50, 12)
    x, atoms = x.bfloat16(), atoms.bfloat16()
    found = matching_pursuit(x, atoms, steps)
    assert torch.equal(found, matching_pursuit(x.float(), atoms.float(), steps).bfloat16())


def test_of_the_peers_class():
    """SAELens stops after an atom that it has taken before, or near enough: its codes are ours after so many steps."""
    weights, expected = load_file(GOLDEN / "sae_weights.safetensors"), load_file(GOLDEN / "expected.safetensors")
    x, atoms = expected["x"] - weights["b_dec"], weights["W_dec"]
    every = torch.stack([matching_pursuit(x, atoms, torch.full((len(x),), count)) for count in range(1, 14)])
    off = (every - expected["codes"]).abs().amax(dim=2) / expected["codes"].amax(dim=1).clamp(min=1)
    assert float(off.min(dim=0).values.max()) < 2e-5
    more = off.argmin(dim=0) + 1 - (expected["codes"] != 0).sum(dim=1)
    assert set(more.tolist()) <= {0, 1}


def some(activation="relu", **more):
    """A dictionary with a gain, and vectors."""
    x, atoms, _ = case(3, 40, 10, 30, 1)
    generator = torch.Generator().manual_seed(5)
    bias = 0.3 * torch.randn(40, generator=generator, dtype=torch.float64) - 0.4
    gain = torch.rand(40, generator=generator, dtype=torch.float64) + 0.5
    centre = torch.randn(10, generator=generator, dtype=torch.float64)
    return Dictionary(1.5 * atoms, bias, atoms, centre, gain, activation, **more), x


@pytest.mark.parametrize("kind", [{}, {"activation": "topk", "k": 5}, {"activation": "jumprelu"}])
def test_a_dictionary_takes_as_many_steps_as_it_had_codes(kind):
    more = {"threshold": torch.full((40,), 0.3, dtype=torch.float64)} if kind.get("activation") == "jumprelu" else {}
    plain, x = some(**kind, **more)
    pursued = plain.with_pursuit()
    counts = (plain.encode(x) > 0).sum(dim=1)
    wanted, _ = by_hand(x - plain.centre, plain.decoder, counts)
    found = pursued.encode(x)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-9)
    assert float((x - pursued.decode(found)).norm()) < float((x - plain.reconstruct(x)).norm())
    torch.testing.assert_close(pursued.encode_features(x, [3, 1, 3], largest_codes), found[:, [3, 1, 3]])
    assert pursued.encode(x.reshape(5, 6, 10)).shape == (5, 6, 40)


def test_with_directions_at_right_angles_it_keeps_the_largest():
    """Then a step changes no other product: of PCA, top-k and pursuit are the same."""
    basis, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))
    directions, x = torch.from_numpy(basis), torch.from_numpy(np.random.default_rng(1).standard_normal((50, 12)))
    plain = replace(signed(directions, directions, torch.zeros(12).double()), activation="topk", k=4)
    torch.testing.assert_close(plain.with_pursuit().encode(x), plain.encode(x))
    torch.testing.assert_close(plain.encode(x), keep_largest((x @ plain.decoder.T).relu(), 4))


def test_a_file_keeps_it_and_others_refuse_it(tmp_path):
    plain, x = some()
    dictionaries.save(tmp_path / "d.safetensors", plain.with_pursuit(), {})
    loaded = dictionaries.load(tmp_path / "d.safetensors")
    assert loaded.pursuit
    torch.testing.assert_close(loaded.encode(x), plain.with_pursuit().encode(x))
    with pytest.raises(BadInput, match="pursuit of nnls"):
        replace(plain, activation="nnls").with_pursuit()
    with pytest.raises(BadInput, match="of vectors of another place"):
        replace(plain, out_centre=torch.zeros(10).double()).with_pursuit()

"""core/dictionary.py against its own formulas written as loops, scipy's NNLS, and properties."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.core.baselines.signed import signed, signed_basis
from sparse_coding.core.dictionary import Dictionary, keep_largest, nonnegative_least_squares

SIZES = st.tuples(st.integers(1, 7), st.integers(1, 5), st.integers(1, 6))  # n_feat, d_act, batch
SEEDS = st.integers(0, 2**31)


def random_dictionary(n_feat, d_act, seed, **changes):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    decoder = torch.nn.functional.normalize(normal(n_feat, d_act), dim=1)
    parts = {"encoder": normal(n_feat, d_act), "bias": normal(n_feat), "decoder": decoder, "centre": normal(d_act)}
    return Dictionary(**parts, gain=normal(n_feat).abs() + 0.1, **changes), normal


@settings(max_examples=30, deadline=None)
@given(SIZES, SEEDS)
def test_codes_and_reconstruction_are_the_written_formulas(sizes, seed):
    n_feat, d_act, batch = sizes
    dictionary, normal = random_dictionary(n_feat, d_act, seed)
    x = normal(batch, d_act)
    codes, rebuilt = dictionary.encode(x), dictionary.reconstruct(x)
    for row in range(batch):
        wanted = dictionary.centre.clone()
        for feature in range(n_feat):
            score = sum(
                float((x[row, i] - dictionary.centre[i]) * dictionary.encoder[feature, i]) for i in range(d_act)
            )
            code = float(dictionary.gain[feature]) * max(0.0, score + float(dictionary.bias[feature]))
            assert float(codes[row, feature]) == pytest.approx(code, abs=1e-12)
            wanted += code * dictionary.decoder[feature]
        torch.testing.assert_close(rebuilt[row], wanted)


@settings(max_examples=30, deadline=None)
@given(SIZES, SEEDS, st.integers(1, 9))
def test_topk_codes_are_the_largest_of_the_relu(sizes, seed, k):
    n_feat, d_act, batch = sizes
    relu, normal = random_dictionary(n_feat, d_act, seed)
    x = normal(batch, d_act)
    codes = replace(relu, activation="topk", k=k).encode(x)
    before_gain = replace(relu, gain=torch.ones_like(relu.gain)).encode(x)
    for row in range(batch):
        largest = sorted(range(n_feat), key=lambda feature: -float(before_gain[row, feature]))[:k]
        for feature in range(n_feat):
            wanted = float(before_gain[row, feature] * relu.gain[feature]) if feature in largest else 0.0
            assert float(codes[row, feature]) == pytest.approx(wanted, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(SIZES, SEEDS, st.sampled_from([("relu", None), ("topk", 2), ("nnls", None)]))
def test_atom_order_batch_shape_and_neighbours_do_not_matter(sizes, seed, kind):
    n_feat, d_act, batch = sizes
    dictionary, normal = random_dictionary(n_feat, d_act, seed, activation=kind[0], k=kind[1], iterations=20)
    x = normal(batch, 2, d_act)
    kept = x.clone()
    codes = dictionary.encode(x)
    assert codes.shape == (batch, 2, n_feat)
    assert (codes >= 0).all()
    torch.testing.assert_close(dictionary.decode(codes), dictionary.reconstruct(x))
    torch.testing.assert_close(dictionary.encode(x[0, 0]), codes[0, 0])
    order = torch.randperm(n_feat, generator=torch.Generator().manual_seed(seed))
    parts = {name: getattr(dictionary, name)[order] for name in ("encoder", "bias", "decoder", "gain")}
    torch.testing.assert_close(replace(dictionary, **parts).encode(x), codes[..., order])
    assert torch.equal(x, kept), "the caller's vectors were changed"


@settings(max_examples=30, deadline=None)
@given(SIZES, SEEDS, st.sampled_from([("relu", None), ("topk", 2), ("nnls", None)]), st.data())
def test_codes_of_some_features_are_those_columns(sizes, seed, kind, data):
    n_feat, d_act, batch = sizes
    dictionary, normal = random_dictionary(n_feat, d_act, seed, activation=kind[0], k=kind[1], iterations=20)
    features = torch.tensor(data.draw(st.lists(st.integers(0, n_feat - 1), min_size=1, unique=True)))
    x = normal(batch, 2, d_act)
    torch.testing.assert_close(dictionary.encode_features(x, features), dictionary.encode(x)[..., features])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1, max_size=8), st.data())
def test_keep_largest_keeps_exactly_k_values_even_when_they_tie(row, data):
    k = data.draw(st.integers(1, len(row)))
    codes = torch.tensor([row], dtype=torch.float64)
    kept = keep_largest(codes, k)
    assert sorted(kept[0].tolist(), reverse=True) == sorted(row, reverse=True)[:k] + [0.0] * (len(row) - k)
    assert all(value in (0.0, own) for value, own in zip(kept[0].tolist(), row, strict=True))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), SEEDS)
def test_signed_reconstructs_as_the_linear_map_does(n, d_act, seed):
    _, normal = random_dictionary(1, 1, seed)
    directions, readout, centre, x = normal(n, d_act), normal(n, d_act), normal(d_act), normal(6, d_act)
    dictionary = signed(directions, readout, centre)
    torch.testing.assert_close(dictionary.reconstruct(x), (x - centre) @ readout.T @ directions + centre)
    torch.testing.assert_close(dictionary.atoms.norm(dim=1), torch.ones(2 * n, dtype=torch.float64))
    torch.testing.assert_close(dictionary.atoms[n:], -dictionary.atoms[:n])
    assert (dictionary.encode(x) > 0).sum(dim=1).eq(n).all(), "one of +d and -d is on, never both"


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), SEEDS)
def test_an_orthonormal_basis_with_both_signs_loses_nothing(d_act, seed):
    _, normal = random_dictionary(1, 1, seed)
    basis, centre, x = torch.linalg.qr(normal(d_act, d_act))[0], normal(d_act), normal(6, d_act)
    dictionary = signed_basis(basis, centre)
    torch.testing.assert_close(dictionary.reconstruct(x), x)
    torch.testing.assert_close(dictionary.encode(x), signed(basis, basis, centre).encode(x))
    assert torch.equal(dictionary.encoder, dictionary.decoder)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), SEEDS, st.integers(1, 5))
def test_signed_with_k_keeps_the_parts_of_largest_length(n, d_act, seed, k):
    _, normal = random_dictionary(1, 1, seed)
    directions, readout, centre, x = normal(n, d_act), normal(n, d_act), normal(d_act), normal(6, d_act)
    rebuilt = signed(directions, readout, centre, k=k).reconstruct(x)
    for row, vector in zip(rebuilt, x, strict=True):
        parts = [float(readout[i] @ (vector - centre)) * directions[i] for i in range(n)]
        longest = sorted(parts, key=lambda part: -float(part.norm()))[:k]
        torch.testing.assert_close(row, centre + sum(longest))


def test_gain_multiplies_codes_and_leaves_the_first_dictionary_alone():
    dictionary, normal = random_dictionary(5, 3, 0)
    x, factor = normal(4, 3), torch.arange(5, dtype=torch.float64)
    before = dictionary.encode(x)
    torch.testing.assert_close(dictionary.with_gain(factor).with_gain(factor).encode(x), before * factor**2)
    assert torch.equal(dictionary.encode(x), before)


@pytest.mark.parametrize(("n_feat", "d_act"), [(6, 10), (10, 10), (24, 10)])
def test_nonnegative_least_squares_agrees_with_scipy(n_feat, d_act):
    dictionary, normal = random_dictionary(n_feat, d_act, n_feat)
    x = normal(40, d_act)
    codes = nonnegative_least_squares(x, dictionary.decoder, 20_000)
    exact = np.stack([scipy.optimize.nnls(dictionary.decoder.numpy().T, row)[0] for row in x.numpy()])
    rebuilt, wanted = codes @ dictionary.decoder, torch.from_numpy(exact) @ dictionary.decoder
    torch.testing.assert_close(rebuilt, wanted, atol=1e-6, rtol=0)  # unique even where the codes are not
    if n_feat <= d_act:
        torch.testing.assert_close(codes, torch.from_numpy(exact), atol=1e-5, rtol=0)


def test_nonnegative_least_squares_of_orthonormal_atoms_is_exact_at_once():
    atoms = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))[0]
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    torch.testing.assert_close(nonnegative_least_squares(x, atoms, 1), (x @ atoms.T).relu())


def test_nonnegative_least_squares_is_bounded_by_the_rate_of_fista():
    """Beck & Teboulle 2009, theorem 4.4: f(c_t) - f* <= 2 L ||c*||^2 / (t + 1)^2, f being half the squared error."""
    dictionary, normal = random_dictionary(24, 10, 3)
    x = normal(40, 10)
    exact = torch.from_numpy(np.stack([scipy.optimize.nnls(dictionary.decoder.numpy().T, row)[0] for row in x.numpy()]))
    largest = torch.linalg.eigvalsh(dictionary.decoder @ dictionary.decoder.T)[-1]

    def half_error(codes):
        return (x - codes @ dictionary.decoder).square().sum(dim=1) / 2

    for iterations in (1, 3, 10, 30, 100):
        codes = nonnegative_least_squares(x, dictionary.decoder, iterations)
        bound = 2 * largest * exact.square().sum(dim=1) / (iterations + 1) ** 2
        assert (half_error(codes) - half_error(exact) <= bound + 1e-12).all()


@pytest.mark.parametrize("activation", ["relu", "topk", "nnls"])
def test_a_code_has_a_gradient(activation):
    """For attribution and steering; against small differences, in float64."""
    generator = torch.Generator().manual_seed(0)
    parts = {name: torch.randn(9, 5, generator=generator).double() for name in ("encoder", "decoder")}
    parts |= {name: torch.rand(size, generator=generator).double() for name, size in (("bias", 9), ("centre", 5))}
    d = Dictionary(**parts, gain=torch.full((9,), 2.0).double(), activation=activation, k=3, iterations=5)
    x = torch.randn(4, 5, generator=generator).double().requires_grad_()
    assert torch.autograd.gradcheck(d.encode, x)
    single = Dictionary(**{name: part.float() for name, part in parts.items()}, gain=torch.ones(9))
    y = x.detach().float().requires_grad_()
    single.encode(y).sum().backward()
    assert y.grad is not None
    assert y.grad.any()

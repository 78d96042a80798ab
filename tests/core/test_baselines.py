"""Baselines against sklearn, planted truths, closed forms and brute force."""

import weakref
from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.decomposition import NMF, PCA, FastICA
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from sparse_coding.core.baselines import ica, neuron_basis, nmf, original, pca, random
from sparse_coding.portions.baselines import nmf_rows

D = 8


def correlated(n_rows=4000, d_act=D, seed=0, dtype=torch.float64):
    """Heavy-tailed sources, mixed, off centre."""
    generator = np.random.default_rng(seed)
    mixing = generator.standard_normal((d_act, d_act)) * np.linspace(1, 5, d_act)[:, None]
    x = generator.laplace(size=(n_rows, d_act)) @ mixing + 10 * generator.standard_normal(d_act)
    return torch.from_numpy(x).to(dtype), torch.from_numpy(mixing).to(dtype)


def fit_nmf(x, iterations=100, encode_iterations=100):
    """In blocks as the stage gives them."""
    mixed = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(0))]
    blocks = mixed.tensor_split(max(1, len(x) // nmf_rows(x.shape[1])))
    return nmf.fit(lambda: blocks, iterations=iterations, encode_iterations=encode_iterations)


def fvu(x, rebuilt):
    return float((x - rebuilt).square().sum() / (x - x.mean(dim=0)).square().sum())


def signed_bases(x):
    centre = x.mean(dim=0)
    return {
        "pca": pca.fit(x.split(1000), centre),
        "ica": ica.fit(x, centre, iterations=200, seed=0)[0],
        "neuron_basis": neuron_basis.make(centre),
        "random": random.make(centre, seed=0),
    }


@pytest.fixture(scope="module")
def bases():
    x, _ = correlated()
    return x, signed_bases(x)


@pytest.mark.parametrize("method", ["pca", "ica", "neuron_basis", "random"])
def test_a_full_signed_basis_reconstructs_exactly(bases, method):
    x, made = bases
    assert fvu(x, made[method].reconstruct(x)) < 1e-20
    assert made[method].n_feat == 2 * D


@pytest.mark.parametrize("method", ["pca", "ica", "neuron_basis", "random"])
def test_float32_bases_reconstruct_to_rounding(method):
    x, _ = correlated(dtype=torch.float32)
    dictionary = signed_bases(x)[method]
    assert {getattr(dictionary, name).dtype for name in ("encoder", "decoder", "centre")} == {torch.float32}
    assert fvu(x, dictionary.reconstruct(x)) < 1e-10


@pytest.mark.parametrize("k", [1, 3, D])
@pytest.mark.parametrize("method", ["pca", "ica", "neuron_basis", "random"])
def test_topk_keeps_the_k_scores_of_largest_magnitude(bases, method, k):
    x, made = bases
    full, rows = made[method], x[:50]
    rebuilt = replace(full, activation="topk", k=k).reconstruct(rows)
    # The score of a direction: the length of its part in the exact expansion of the vector.
    scores = torch.linalg.solve(full.atoms[:D].T, (rows - full.centre).T).T
    for row, score in zip(rebuilt, scores, strict=True):
        kept = sorted(range(D), key=lambda i: -abs(float(score[i])))[:k]
        torch.testing.assert_close(row, full.centre + sum(score[i] * full.atoms[i] for i in kept))


def test_pca_is_sklearns(bases):
    x, made = bases
    oracle = PCA(D, svd_solver="full").fit(x.numpy())
    atoms = made["pca"].atoms[:D]
    aligned = (atoms @ torch.from_numpy(oracle.components_).T).abs()
    torch.testing.assert_close(aligned, torch.eye(D, dtype=torch.float64), atol=1e-8, rtol=0)
    variances = ((x - x.mean(dim=0)) @ atoms.T).var(dim=0)
    np.testing.assert_allclose(variances, oracle.explained_variance_, rtol=1e-9)
    assert (atoms.gather(1, atoms.abs().argmax(dim=1, keepdim=True)) > 0).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 1000))
def test_covariance_does_not_depend_on_the_blocks(sizes, seed):
    x = 1e3 + torch.randn(sum(sizes), 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    centre = x.mean(dim=0)
    wanted = torch.from_numpy(np.cov(x.numpy().T, bias=True).reshape(3, 3))
    torch.testing.assert_close(pca.covariance(x.split(sizes), centre), wanted, rtol=1e-9, atol=1e-9)


def test_covariance_is_summed_in_float64():
    x, _ = correlated(20_000, dtype=torch.float32)
    centre = x.mean(dim=0)
    wanted = np.cov(x.double().numpy().T, bias=True)
    assert np.abs(pca.covariance(x.split(1000), centre).numpy() - wanted).max() < 1e-10 * wanted.max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ica_finds_planted_sources(dtype):
    x, mixing = correlated(20_000, dtype=dtype)
    dictionary, convergence = ica.fit(x, x.mean(dim=0), iterations=200, seed=0)
    planted = torch.nn.functional.normalize(mixing, dim=1)
    cosine = (planted @ dictionary.atoms.T).max(dim=1)
    assert cosine.values.min() > 0.99
    assert len({int(i) % D for i in cosine.indices}) == D, "one component for each source"
    sources = torch.linalg.solve(mixing.T, (x - x.mean(dim=0)).T)
    codes = dictionary.encode(x)
    codes = (codes[:, :D] - codes[:, D:]).T
    correlation = np.corrcoef(sources, codes)[:D, D:]
    assert np.abs(correlation).max(axis=1).min() > 0.99
    assert convergence.converged
    assert 1 < convergence.iterations < 200


@pytest.mark.parametrize("scale", [1e-5, 1e5])
def test_the_unit_of_activations_does_not_matter(scale):
    x, _ = correlated(dtype=torch.float32)
    for fit in (
        lambda x: ica.fit(x, x.mean(dim=0), iterations=200, seed=0)[0],
        lambda x: fit_nmf(x, iterations=30, encode_iterations=100),
    ):
        one, other = fit(x), fit(x * scale)
        torch.testing.assert_close(one.atoms, other.atoms, atol=0.02, rtol=0)
        assert fvu(x * scale, other.reconstruct(x * scale)) == pytest.approx(
            fvu(x, one.reconstruct(x)), rel=0.1, abs=1e-9
        )


def test_ica_says_that_it_did_not_converge():
    x, _ = correlated()
    with pytest.warns(ConvergenceWarning):
        dictionary, convergence = ica.fit(x, x.mean(dim=0), iterations=2, seed=0)
    assert convergence == (2, False)
    assert fvu(x, dictionary.reconstruct(x)) < 1e-20, "unfinished, yet a basis"


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("constant", [[3], [0, 5]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_dimension_that_never_varies_does_no_harm(constant, dtype):
    x, _ = correlated(dtype=dtype)
    x[:, constant] = 2.5
    for method, dictionary in signed_bases(x).items():
        assert fvu(x, dictionary.reconstruct(x)) < 1e-8, method
    dictionary = fit_nmf(x, iterations=50, encode_iterations=300)
    assert dictionary.atoms.isfinite().all()
    torch.testing.assert_close(dictionary.reconstruct(x)[:, constant], x[:, constant])


def planted_parts(n_rows, seed):
    """Sparse non-negative mixtures of non-negative parts, moved off zero."""
    generator = np.random.default_rng(0)
    parts = generator.random((D, D)) * (generator.random((D, D)) < 0.35) + np.eye(D)
    generator = np.random.default_rng(seed)
    codes = generator.exponential(size=(n_rows, D)) * (generator.random((n_rows, D)) < 0.3)
    return torch.from_numpy(codes @ parts - 4.0), torch.from_numpy(parts - 4.0)


def test_nmf_reaches_planted_parts_and_held_out_mixtures():
    """The planted parts themselves are not unique (a wider cone fits as well): the atoms must reach all of them."""
    x, parts = planted_parts(3000, seed=1)
    dictionary = fit_nmf(x, iterations=400, encode_iterations=300)
    assert (dictionary.atoms >= 0).all()
    torch.testing.assert_close(dictionary.atoms.norm(dim=1), torch.ones(D, dtype=torch.float64))
    held_out, _ = planted_parts(500, seed=2)
    assert fvu(held_out, dictionary.reconstruct(held_out)) < 1e-3
    assert fvu(parts, dictionary.reconstruct(parts)) < 1e-2


def test_nmf_of_dense_activations_does_not_fail_without_a_word():
    """Held-out FVU; sklearn's MiniBatchNMF leaves 0.20 here, "nndsvda" with its stopping test 0.29."""
    x, _ = correlated(6000, d_act=32, dtype=torch.float32)
    dictionary = fit_nmf(x[:5000], iterations=100, encode_iterations=100)
    held_out = x[5000:]
    assert (held_out < dictionary.centre).any(), "some held-out vectors are below the minimum of the sample"
    assert fvu(held_out, dictionary.reconstruct(held_out)) < 0.05


@pytest.mark.parametrize("n_rows", [1500, 6000])
def test_nmf_reconstructs_as_well_as_sklearns_coordinate_descent(n_rows):
    """Of the sample, in one block and in two; three iterations take the time of one of sklearn's."""
    x, _ = correlated(n_rows, d_act=32, dtype=torch.float32)
    dictionary = fit_nmf(x, iterations=300)
    oracle = NMF(32, init="nndsvd", solver="cd", tol=0, max_iter=100, random_state=0)
    above = (x - x.min(dim=0).values).numpy()
    found = np.linalg.norm(above - oracle.fit_transform(above) @ oracle.components_) ** 2
    wanted = found / float((x - x.mean(dim=0)).square().sum())
    assert fvu(x, dictionary.reconstruct(x)) < 1.05 * wanted + 1e-4


def test_nmf_finds_planted_parts_that_only_one_cone_holds():
    """Parts on disjoint dimensions, with codes that are often zero: the cone is unique, and so are its edges."""
    generator = torch.Generator().manual_seed(0)
    parts = torch.block_diag(*(torch.rand(1, 4, generator=generator) + 0.2 for _ in range(8)))
    codes = torch.rand(4000, 8, generator=generator) * (torch.rand(4000, 8, generator=generator) < 0.4)
    atoms = fit_nmf(codes @ parts, iterations=200).atoms
    planted = torch.nn.functional.normalize(parts, dim=1)
    assert (planted @ atoms.T).max(dim=1).values.min() > 0.99


def test_nmf_is_in_memory_one_block_at_a_time():
    alive, most = [], []

    def blocks():
        for part in correlated(2000, dtype=torch.float32)[0].tensor_split(10):
            block = part.clone()
            alive.append(weakref.ref(block))
            most.append(sum(each() is not None for each in alive))
            yield block
            del block

    nmf.fit(blocks, iterations=40, encode_iterations=10)
    assert len(most) == 30, "once for the minimum, and two visits"
    assert max(most) <= 2


def test_nmf_codes_are_near_those_of_scipys_nnls():
    x, _ = correlated(3000, d_act=32, dtype=torch.float32)
    dictionary = fit_nmf(x[:2500], iterations=60, encode_iterations=100)
    rows = x[2500:2700]
    above, atoms = (rows - dictionary.centre).double(), dictionary.atoms.double()
    exact = torch.from_numpy(np.stack([scipy.optimize.nnls(atoms.T.numpy(), row)[0] for row in above.numpy()]))
    codes = dictionary.encode(rows).double()
    best, found = fvu(above, exact @ atoms), fvu(above, codes @ atoms)
    assert best <= found < best + 0.005
    # The atoms are close to dependent: reconstructions agree long before codes do.
    assert (codes @ atoms - exact @ atoms).norm() < 0.01 * (exact @ atoms).norm()


def test_nmf_of_fewer_rows_than_dimensions_has_an_atom_a_row():
    x, _ = correlated(5, dtype=torch.float32)
    assert fit_nmf(x, iterations=10, encode_iterations=10).n_feat <= 5


def test_the_neuron_basis_reads_single_coordinates():
    centre = torch.tensor([1.0, -2.0, 3.0])
    codes = neuron_basis.make(centre).encode(centre + torch.tensor([0.5, -0.25, 0.0]))
    assert codes.tolist() == [0.5, 0, 0, 0, 0.25, 0]


def test_random_directions_are_orthonormal_and_follow_the_seed():
    centre = torch.zeros(16, dtype=torch.float64)
    one, again, other = (random.make(centre, seed=seed).atoms[:16] for seed in (0, 0, 1))
    torch.testing.assert_close(one @ one.T, torch.eye(16, dtype=torch.float64))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_random_directions_are_uniform():
    """Haar moments of 4000 draws: entries have mean 0, variance 1/d and E q^4 = 3 / (d (d + 2)), everywhere."""
    d_act, draws = 3, 4000
    entries = torch.stack([random.make(torch.zeros(d_act).double(), seed=seed).atoms[:d_act] for seed in range(draws)])
    assert entries.mean(dim=0).abs().max() < 5 * (1 / d_act / draws) ** 0.5
    torch.testing.assert_close(
        entries.square().mean(dim=0), torch.full((d_act, d_act), 1 / d_act).double(), atol=0.03, rtol=0
    )
    fourth = 3 / (d_act * (d_act + 2))
    torch.testing.assert_close(
        entries.pow(4).mean(dim=0), torch.full((d_act, d_act), fourth).double(), atol=0.03, rtol=0
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_same_arguments_give_the_same_bits_and_leave_the_sample_alone():
    x, _ = correlated(1000, dtype=torch.float32)
    kept = x.clone()
    for fit in (
        lambda: pca.fit(x.split(300), x.mean(dim=0)),
        lambda: ica.fit(x, x.mean(dim=0), iterations=20, seed=3)[0],
        lambda: fit_nmf(x, iterations=20, encode_iterations=10),
    ):
        one, other = fit(), fit()
        assert torch.equal(one.encoder, other.encoder)
        assert torch.equal(one.decoder, other.decoder)
    assert torch.equal(x, kept)


def test_pca_as_in_the_original_has_the_directions_of_centred_vectors_around_zero():
    x, _ = correlated()
    found = original.around_zero(pca.fit(x.split(1000), x.mean(dim=0)))
    components = torch.from_numpy(PCA().fit(x.numpy()).components_)
    overlap = (found.atoms[:D] @ components.T).abs()
    torch.testing.assert_close(overlap, torch.eye(D, dtype=torch.float64), rtol=0, atol=1e-8)
    torch.testing.assert_close(found.encode(x)[:, :D], (x @ found.atoms[:D].T).relu())
    assert fvu(x, found.reconstruct(x)) < 1e-20
    top1 = replace(found, activation="topk", k=1)  # the mean, far from 0, takes the largest code
    assert fvu(x, top1.reconstruct(x)) > fvu(x, replace(pca.fit([x], x.mean(0)), activation="topk", k=1).reconstruct(x))


def test_the_neuron_basis_and_random_directions_of_the_original_have_one_sign():
    x, _ = correlated(dtype=torch.float32)
    torch.testing.assert_close(original.identity_relu(D).reconstruct(x), x.relu())
    torch.manual_seed(5)
    rows = torch.randn(D, D)
    found = original.random(D, seed=5)
    wanted = (x @ rows.T).relu()
    torch.testing.assert_close(found.reconstruct(x), wanted @ rows, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(found.encode(x), wanted * rows.norm(dim=1), rtol=1e-4, atol=1e-3)


def test_top_k_ica_of_the_original_keeps_what_its_unscaled_rows_say():
    x, _ = correlated(d_act=5)
    found, convergence = original.ica_topk(x, iterations=200, seed=0)
    assert convergence.converged
    solver = FastICA(whiten="unit-variance", random_state=0).fit(StandardScaler().fit_transform(x.numpy()))
    both = np.concatenate([solver.components_, -solver.components_])
    scores = x.numpy() @ both.T  # raw vectors, and rows for standardised ones
    kept = np.where(scores >= np.sort(scores, axis=1)[:, -2:-1], scores, 0).clip(0)
    top2 = replace(found, activation="topk", k=2)
    torch.testing.assert_close(top2.reconstruct(x), torch.from_numpy(kept @ both), rtol=1e-6, atol=1e-6)

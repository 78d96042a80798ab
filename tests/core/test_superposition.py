"""The toy's truth and its vectors: formulas, densities, correlations, and that only numbers decide what is drawn."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sparse_coding.core import superposition
from sparse_coding.core.superposition import HELD_OUT, TRAIN, Vectors, truth
from sparse_coding.portions.toy import BLOCK

BLOCKS = 100


def some_vectors(factors=None, codes="uniform", noise=0.0, seed=0, stream=TRAIN, n=12, d_act=5, active=2.0, decay=0.9):
    return Vectors(truth(n, d_act, active, decay, factors, seed), codes, noise, seed, stream)


def drawn_codes(vectors: Vectors) -> np.ndarray:
    """Codes of many blocks, [vector, n_true]."""
    return np.concatenate([vectors.block_codes(np.random.default_rng(number)).toarray() for number in range(BLOCKS)])


@given(st.integers(1, 40), st.integers(2, 20), st.floats(0.5, 1), st.integers(0, 2**40), st.none() | st.integers(1, 9))
def test_a_truth_has_unit_rows_and_probabilities_that_decay_and_sum_to_the_mean(n, d_act, decay, seed, factors):
    made = truth(n, d_act, 0.7, decay, factors, seed)
    assert made.atoms.shape == (n, d_act)
    np.testing.assert_allclose(np.linalg.norm(made.atoms, axis=1), 1, rtol=1e-6)
    assert made.probability.sum() == pytest.approx(0.7)
    np.testing.assert_allclose(made.probability[1:], decay * made.probability[:-1])
    if factors is not None:
        assert made.loadings is not None
        np.testing.assert_allclose(np.linalg.norm(made.loadings, axis=1), 1)
    assert (truth(n, d_act, 0.7, decay, None, seed).atoms == made.atoms).all()


@given(st.integers(0, 3 * BLOCK), st.integers(1, 2 * BLOCK), st.sampled_from([None, 3]), st.sampled_from([0.0, 0.1]))
def test_a_vector_is_the_same_however_many_are_read_at_a_time(start, n, factors, noise):
    vectors = some_vectors(factors, noise=noise)
    everything = vectors.read(0, 5 * BLOCK)
    assert torch.equal(vectors.read(start, start + n), everything[start : start + n])
    batches = vectors.batches(n)
    assert torch.equal(torch.cat([next(batches), next(batches)]), everything[: 2 * n])


def test_seeds_and_streams_draw_something_else_and_the_same_draws_the_same():
    variants = [some_vectors(seed=seed, stream=stream) for seed in (0, 1) for stream in (TRAIN, HELD_OUT)]
    read = [each.read(0, 8).numpy().tobytes() for each in (*variants, some_vectors(factors=3))]
    assert len(set(read)) == len(read)
    assert torch.equal(some_vectors().read(0, 8), some_vectors().read(0, 8))
    assert (variants[0].truth.atoms == variants[1].truth.atoms).all()
    assert (variants[0].truth.atoms != variants[2].truth.atoms).any()


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_vectors_are_mixtures_of_the_atoms(noise):
    """Against dense products in float64, with codes drawn from the same random state."""
    vectors = some_vectors(noise=noise)
    random = np.random.default_rng((0, TRAIN, 1))
    x = vectors.block_codes(random).toarray().astype(float) @ vectors.truth.atoms.astype(float)
    x += noise * random.standard_normal(x.shape, dtype=np.float32)
    np.testing.assert_allclose(vectors.read(BLOCK, 2 * BLOCK).numpy(), x, atol=1e-6)


@pytest.mark.parametrize("factors", [None, 3])
def test_features_fire_as_often_as_their_probability_says(factors):
    vectors = some_vectors(factors)
    probability = vectors.truth.probability
    fires = (drawn_codes(vectors) > 0).mean(axis=0)
    assert (np.abs(fires - probability) < 5 * np.sqrt(probability / (BLOCKS * BLOCK))).all()


def test_features_fire_together_as_a_gaussian_copula_says():
    """P(both) = Phi_2(Phi^-1(p_i), Phi^-1(p_j); R_ij), by scipy's integral; without factors it is p_i p_j."""
    for factors in (None, 2):
        vectors = some_vectors(factors, n=6)
        probability, loadings = vectors.truth.probability, vectors.truth.loadings
        fires = (drawn_codes(vectors) > 0).astype(float)
        together = fires.T @ fires / len(fires)
        correlation = np.eye(6) if loadings is None else loadings @ loadings.T
        for i in range(6):
            for j in range(i):
                covariance = [[1, correlation[i, j]], [correlation[i, j], 1]]
                wanted = stats.multivariate_normal([0, 0], covariance).cdf(stats.norm.ppf(probability[[i, j]]))
                assert together[i, j] == pytest.approx(wanted, abs=5 * np.sqrt(wanted / len(fires))), (i, j)
        assert factors is None or np.abs(correlation - np.eye(6)).max() > 0.3


@pytest.mark.parametrize(("codes", "wanted"), [("uniform", stats.uniform()), ("exponential", stats.expon(scale=0.5))])
def test_codes_that_fire_have_their_distribution_and_the_mean_of_one_half(codes, wanted):
    values = drawn_codes(some_vectors(codes=codes))
    values = values[values > 0]
    assert wanted.mean() == 0.5
    assert stats.kstest(values[:20_000], wanted.cdf).pvalue > 1e-4


def test_no_initial_weights_begin_as_those_of_another_size_or_seed():
    seeds = [superposition.seed_of(seed, n_feat) for seed in range(3) for n_feat in (8, 16, 32)]
    assert len(set(seeds)) == len(seeds)
    assert superposition.seed_of(0, 8) == seeds[0]

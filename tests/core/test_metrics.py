"""Metrics against direct computation, properties and other solvers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls
from torch.nn.functional import cosine_similarity, normalize

from sparse_coding.core.dictionary import Activation, Dictionary
from sparse_coding.core.metrics import ratios
from sparse_coding.core.metrics.gain_refit import gain_refit, nonnegative_gains
from sparse_coding.core.metrics.ratios import Ratio, clusters
from sparse_coding.core.metrics.reconstruction import Reconstruction
from sparse_coding.core.metrics.similarity import mmcs


def random_dictionary(seed: int, n_feat: int = 12, d_act: int = 6, activation: Activation = "relu") -> Dictionary:
    generator = torch.Generator().manual_seed(seed)
    decoder = normalize(torch.randn(n_feat, d_act, generator=generator), dim=1)
    return Dictionary(
        encoder=decoder,
        bias=-0.5 * torch.rand(n_feat, generator=generator),
        decoder=decoder,
        centre=torch.randn(d_act, generator=generator),
        gain=torch.ones(n_feat),
        activation=activation,
        k=3 if activation == "topk" else None,
    )


def vectors(seed: int, rows: int, d_act: int = 6, offset: float = 0.0) -> torch.Tensor:
    return torch.randn(rows, d_act, generator=torch.Generator().manual_seed(seed)) + offset


def measure(dictionary: Dictionary, x: torch.Tensor, batch: int, labels: torch.Tensor | None = None) -> Reconstruction:
    labels = torch.zeros(len(x), dtype=torch.int64) if labels is None else labels
    result = Reconstruction(x.mean(dim=0, dtype=torch.float64), dictionary.n_feat, int(labels.max()) + 1)
    for part, cluster in zip(x.split(batch), labels.split(batch), strict=True):
        codes = dictionary.encode(part)
        result.add(part, codes, dictionary.decode(codes), cluster)
    return result


@pytest.mark.parametrize("activation", ["relu", "topk"])
def test_reconstruction_metrics_equal_their_formulas(activation: Activation) -> None:
    dictionary, x = random_dictionary(0, activation=activation), vectors(1, 500)
    found = measure(dictionary, x, 64)
    codes = dictionary.encode(x)
    x_hat, mean = dictionary.decode(codes).double(), x.double().mean(0)
    assert found.n_vectors == 500
    assert found.l0.value == pytest.approx(float((codes != 0).sum() / 500))
    assert found.fvu.value == pytest.approx(float((x - x_hat).pow(2).sum() / (x - mean).pow(2).sum()), rel=1e-9)
    assert found.mse == pytest.approx(torch.nn.functional.mse_loss(x_hat, x.double()).item(), rel=1e-9)
    cosines = cosine_similarity(x.double() - mean, x_hat - mean, dim=1)
    assert found.cosine == pytest.approx(float(cosines.mean()), rel=1e-9)


def test_dead_features_never_fire_and_alive_ones_fire_often_enough() -> None:
    codes = torch.zeros(1000, 4)
    codes[:, 0] = 1.0
    codes[:5, 1] = 2.0
    codes[7, 2] = 0.1
    found = Reconstruction(torch.zeros(3), 4, 1)
    found.add(torch.ones(1000, 3), codes, torch.ones(1000, 3), torch.zeros(1000, dtype=torch.int64))
    assert found.frequency.tolist() == [1.0, 0.005, 0.001, 0.0]
    assert found.dead == 1
    assert found.alive(0.001) == 2  # more than the share, not as much as
    assert found.alive(0.0) == 3


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.floats(-100, 100), st.sampled_from(["relu", "topk"]))
def test_batches_do_not_matter(seed: int, rows: int, offset: float, activation: Activation) -> None:
    dictionary, x = random_dictionary(seed, activation=activation), vectors(seed + 1, rows, offset=offset)
    whole = measure(dictionary, x, rows)
    for batch in (1, 7):
        parts = measure(dictionary, x, batch)
        assert parts.l0.value == pytest.approx(whole.l0.value, abs=1e-4)
        assert parts.dead == whole.dead
        for name in ("fvu", "mean_error", "mse", "cosine"):
            one, other = (getattr(found, name) for found in (parts, whole))
            one, other = (value.value if isinstance(value, Ratio) else value for value in (one, other))
            assert one == pytest.approx(other, rel=1e-6, abs=1e-6)


def test_the_fvu_of_vectors_far_from_the_origin_keeps_its_digits() -> None:
    x = vectors(3, 400)
    dictionary = random_dictionary(4)
    moved = measure(dictionary, x, 64).fvu.value
    shift = torch.full((6,), 4096.0)  # exactly representable, so that nothing but the metric can lose digits
    x = (x * 256).round() / 256
    found = Reconstruction((x + shift).double().mean(0), 12, 1)
    x_hat = (dictionary.reconstruct(x) * 256).round() / 256
    found.add(x + shift, dictionary.encode(x), x_hat + shift, torch.zeros(400, dtype=torch.int64))
    assert found.fvu.value == pytest.approx(moved, abs=0.01)
    direct = (x - x_hat).double().pow(2).sum() / (x.double() - x.double().mean(0)).pow(2).sum()
    assert found.fvu.value == pytest.approx(float(direct), rel=1e-12)


def test_the_error_of_the_mean_is_its_part_of_fvu() -> None:
    """FVU is what the means are apart, and how what is left varies: of a shift alone it is all of it."""
    x, one = vectors(6, 300), torch.zeros(300, dtype=torch.int64)
    dictionary = random_dictionary(7)
    found = measure(dictionary, x, 64)
    error, centred = (x - dictionary.reconstruct(x)).double(), x.double() - x.double().mean(0)
    varies = (error - error.mean(0)).square().sum() / centred.square().sum()
    assert found.mean_error == pytest.approx(found.fvu.value - float(varies), rel=1e-5)
    shifted = Reconstruction(x.double().mean(0), 1, 1)
    shifted.add(x, torch.ones(300, 1), x + 2, one)
    assert shifted.mean_error == pytest.approx(shifted.fvu.value, rel=1e-6)
    same = Reconstruction(torch.ones(3).double(), 1, 1)
    same.add(torch.ones(5, 3), torch.ones(5, 1), torch.ones(5, 3), torch.zeros(5, dtype=torch.int64))
    assert same.mean_error is None


def test_a_perfect_reconstruction_and_the_mean() -> None:
    x = vectors(5, 100)
    one = torch.zeros(100, dtype=torch.int64)
    perfect = Reconstruction(x.double().mean(0), 1, 1)
    perfect.add(x, torch.ones(100, 1), x, one)
    assert (perfect.fvu.value, perfect.mse) == (0, 0)
    assert perfect.cosine == pytest.approx(1)
    mean = Reconstruction(x.double().mean(0), 1, 1)
    mean.add(x, torch.zeros(100, 1), x.mean(0).expand_as(x), one)
    assert mean.fvu.value == pytest.approx(1, abs=1e-6)
    assert mean.l0.value == 0


def test_vectors_without_variance_have_no_fvu() -> None:
    x = torch.ones(10, 3)
    found = Reconstruction(x.double().mean(0), 1, 1)
    found.add(x, torch.zeros(10, 1), x, torch.zeros(10, dtype=torch.int64))
    assert found.fvu.value is None
    assert found.fvu.interval() == (None, None)
    assert found.cosine == 0


def test_gains_are_the_least_squares_ones_where_those_are_positive() -> None:
    dictionary, x = random_dictionary(6), vectors(7, 3000)
    shrunk = dictionary.with_gain(torch.linspace(0.3, 0.9, 12))
    gain = gain_refit(shrunk, x.split(100))
    codes, target = shrunk.encode(x).double(), (x - shrunk.centre).double()
    # The same problem, row by row and dimension by dimension.
    design = (codes[:, None, :] * shrunk.decoder.double().T[None]).reshape(-1, 12)
    best, _ = nnls(design.numpy(), target.reshape(-1).numpy())
    np.testing.assert_allclose(gain.numpy(), best, rtol=1e-4, atol=1e-6)
    before, after = (measure(d, x, 100).mse or 0 for d in (shrunk, shrunk.with_gain(gain)))
    assert 0 < after < before


def test_a_known_shrinkage_is_undone() -> None:
    dictionary = random_dictionary(8, n_feat=6)
    true_codes = vectors(9, 2000).abs() * (vectors(10, 2000) > 0.5)
    shrinkage = torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    basis = torch.linalg.qr(dictionary.decoder.T)[0].T.contiguous()
    exact = Dictionary(basis, torch.zeros(6), basis, dictionary.centre, shrinkage)
    gain = gain_refit(exact, (exact.centre + true_codes @ basis).split(64))
    torch.testing.assert_close(gain, 1 / shrinkage, rtol=1e-4, atol=0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.booleans())
def test_gains_equal_those_of_another_solver(seed: int, n: int, scaled: bool) -> None:
    random = np.random.default_rng(seed)
    design = random.normal(size=(3 * n, n)) * (10.0 ** random.integers(-3, 4, n) if scaled else 1)
    target = random.normal(size=3 * n)
    best, residual = nnls(design, target)
    found = nonnegative_gains(design.T @ design, design.T @ target)
    assert (found >= 0).all()
    assert np.linalg.norm(design @ found - target) == pytest.approx(residual, rel=1e-6)
    np.testing.assert_allclose(found * np.linalg.norm(design, axis=0), best * np.linalg.norm(design, axis=0), atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "topk"])
def test_gains_of_sparse_and_dense_products_are_the_same(
    activation: Activation, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictionary, x = random_dictionary(3, activation=activation), vectors(4, 3000)
    gains = []
    for share in (0.0, 2.0):  # none is sparse, all are
        monkeypatch.setattr("sparse_coding.core.metrics.gain_refit.SPARSE", share)
        gains.append(gain_refit(dictionary, x.split(700)))
    torch.testing.assert_close(gains[0], gains[1])
    assert not torch.allclose(gains[0], torch.ones(12))


def test_clipping_negative_gains_would_be_worse() -> None:
    design, target = np.array([[1.0, 0.9], [0.0, 0.5]]), np.array([1.0, -1.0])
    free = np.linalg.solve(design, target)
    assert free[1] < 0
    clipped = np.linalg.norm(design @ free.clip(0) - target)
    found = nonnegative_gains(design.T @ design, design.T @ target)
    assert np.linalg.norm(design @ found - target) < clipped - 0.1


def test_what_cannot_be_known_stays_as_it_was() -> None:
    random = np.random.default_rng(0)
    one = random.normal(size=50)
    design = np.stack([one, one, np.zeros(50), -one], axis=1)  # two equal features, a dead one, an opposite one
    found = nonnegative_gains(design.T @ design, design.T @ (1.5 * one))
    assert found[2] == 1
    assert found[0] == pytest.approx(found[1])
    assert found[0] + found[1] - found[3] == pytest.approx(1.5)
    np.testing.assert_allclose(found, [7 / 6, 7 / 6, 1, 5 / 6])  # the change is shared
    assert nonnegative_gains(np.zeros((3, 3)), np.zeros(3)).tolist() == [1, 1, 1]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_gains_do_not_depend_on_batches_or_on_the_order_of_features(seed: int) -> None:
    dictionary, x = random_dictionary(seed), vectors(seed + 1, 300)
    gain = gain_refit(dictionary, [x])
    torch.testing.assert_close(gain_refit(dictionary, x.split(7)), gain, rtol=1e-4, atol=1e-5)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(seed))
    encoder = dictionary.encoder[order]
    permuted = Dictionary(encoder, dictionary.bias[order], encoder, dictionary.centre, dictionary.gain[order])
    torch.testing.assert_close(gain_refit(permuted, [x]), gain[order], rtol=1e-4, atol=1e-5)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        weights = random.integers(1, 20, 60).astype(float)
        sums = weights * (2 + random.normal(size=60))  # clusters differ as wholes
        low, high = Ratio(sums, weights).interval()
        assert low is not None
        assert high is not None
        covered += low <= 2 <= high
    assert 0.90 < covered / 400 < 0.98


def test_intervals_of_few_clusters_or_of_no_denominator_are_none() -> None:
    assert Ratio(np.ones(1), np.ones(1)).interval() == (None, None)
    assert Ratio(np.ones(3), np.array([1.0, -1.0, 0.0])).interval() == (None, None)
    assert Ratio(np.ones(3), np.zeros(3)).value is None
    low, high = Ratio(np.full(5, 2.0), np.ones(5)).interval()
    assert low == high == 2


def test_clusters_are_runs_of_equal_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert clusters(np.array([4, 4, 2, 2, 2, 4])).tolist() == [0, 0, 1, 1, 1, 2]
    monkeypatch.setattr(ratios, "MOST_CLUSTERS", 3)
    assert clusters(np.arange(7)).tolist() == [0, 0, 0, 1, 1, 2, 2]


def test_mmcs_finds_the_best_match_of_each_true_atom() -> None:
    truth, learned = vectors(11, 5), vectors(12, 9)
    by_hand = [max(float(cosine_similarity(t, other, dim=0)) for other in learned) for t in truth]
    assert mmcs(truth, learned) == pytest.approx(np.mean(by_hand), abs=1e-6)
    assert mmcs(truth, torch.cat([learned, 3 * truth[torch.randperm(5)]])) == pytest.approx(1)
    assert mmcs(truth[:1], -truth[:1]) == pytest.approx(-1)

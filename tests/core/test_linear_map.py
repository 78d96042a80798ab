"""The baselines of a pair of places: against scikit-learn's ridge, the best loss of a rank, the mean."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from sparse_coding.core.baselines import build, linear_map, variant
from sparse_coding.core.baselines.contract import Vectors

SIZES = {"d_in": st.integers(1, 9), "d_out": st.integers(1, 9), "rows": st.integers(2, 60)}


class Held:
    """Rows in memory."""

    def __init__(self, rows):
        self._rows, self.n_rows = rows, len(rows)

    def read(self, start, stop):
        return self._rows[start:stop]

    def rows(self, indices):
        return self._rows[indices]


def pair(seed, d_in, d_out, rows):
    """x and y in float64, y partly linear in x."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, d_in, generator=generator, dtype=torch.float64) * (1 + torch.arange(d_in)) + 3
    weights = torch.randn(d_in, d_out, generator=generator, dtype=torch.float64)
    return x, x @ weights + torch.randn(rows, d_out, generator=generator, dtype=torch.float64) - 5


def fitted(x, y, ridge):
    z = torch.cat([x, y], dim=1)
    return build("linear_map", Vectors(Held(z), z.mean(0), x.shape[1]), {"ridge": ridge})[0]


def penalty(x, ridge):
    return ridge * len(x) * float(x.var(dim=0, correction=0).mean())


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), ridge=st.floats(1e-4, 10), **SIZES)
def test_the_whole_map_is_scikit_learns_ridge(seed, ridge, d_in, d_out, rows):
    x, y = pair(seed, d_in, d_out, rows)
    wanted = Ridge(alpha=penalty(x, ridge)).fit(x.numpy(), y.numpy()).predict(x.numpy()).reshape(y.shape)
    found = fitted(x, y, ridge)
    np.testing.assert_allclose(found.reconstruct(x).numpy(), wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())
    assert found.n_feat == 2 * min(d_in, d_out)
    torch.testing.assert_close(found.decoder.norm(dim=1), torch.ones(found.n_feat, dtype=torch.float64))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), ridge=st.floats(1e-4, 10), k=st.integers(1, 9), **SIZES)
def test_of_rank_k_it_is_the_best_of_that_rank_under_the_same_penalty(seed, ridge, k, d_in, d_out, rows):
    """The loss of rank k: that of the whole map, and the singular values that are left out of its fitted outputs, where
    the rows of the penalty count as data."""
    x, y = pair(seed, d_in, d_out, rows)
    centred, wanted = x - x.mean(0), y - y.mean(0)
    rooted = torch.cat([centred, penalty(x, ridge) ** 0.5 * torch.eye(d_in, dtype=torch.float64)])
    with_zeros = torch.cat([wanted, torch.zeros(d_in, d_out, dtype=torch.float64)])
    solution = torch.linalg.lstsq(rooted, with_zeros).solution
    values = torch.linalg.svdvals(rooted @ solution)
    least = (rooted @ solution - with_zeros).square().sum() + values[k:].square().sum()
    found = variant("linear_map", fitted(x, y, ridge), k)
    weights = found.encoder[: found.n_feat // 2].T @ found.decoder[: found.n_feat // 2]
    reached = (rooted @ weights - with_zeros).square().sum()
    assert float(reached) == pytest.approx(float(least), rel=1e-6, abs=1e-6 * float(with_zeros.square().sum()))
    assert found.n_feat == 2 * min(k, d_in, d_out)
    assert int((found.encode(x) > 0).sum(1).max()) <= min(k, d_in, d_out)


def test_without_a_penalty_and_with_fewer_rows_than_dimensions_it_fits_the_rows():
    x, y = pair(0, 9, 3, 5)
    torch.testing.assert_close(fitted(x, y, 0.0).reconstruct(x), y, rtol=1e-6, atol=1e-6)


def test_the_largest_direction_comes_first():
    x, y = pair(1, 6, 6, 60)
    whole = fitted(x, y, 1e-6)
    left = [float((variant("linear_map", whole, k).reconstruct(x) - y).square().sum()) for k in range(1, 7)]
    assert left == sorted(left, reverse=True)
    assert left[0] > 2 * left[-1]


def test_the_mean_has_no_features():
    x, y = pair(2, 4, 3, 20)
    z = torch.cat([x, y], dim=1)
    found, _ = build("mean", Vectors(Held(z), z.mean(0), 4), {})
    assert (found.n_feat, found.encode(x).shape) == (0, (20, 0))
    torch.testing.assert_close(found.reconstruct(x), y.mean(0).expand_as(y))


def test_work_grows_with_rows():
    assert linear_map.work(2000, 64, {}).double_products > linear_map.work(1000, 64, {}).double_products

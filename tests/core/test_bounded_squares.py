"""core/metrics/bounded_squares.py against scipy's solvers and the conditions of an optimum."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import lsq_linear

from sparse_coding.core.metrics import bounded_squares as module
from sparse_coding.core.metrics.bounded_squares import bounded_squares


def problem(seed: int, n: int, rows: int) -> tuple[np.ndarray, ...]:
    """A design of columns of length 1, singular where there are fewer rows than columns; M, t and lower."""
    random = np.random.default_rng(seed)
    design = random.standard_normal((rows, n)) + random.uniform(0, 1)
    design /= np.linalg.norm(design, axis=0)
    target = random.standard_normal(rows)
    return design, target, design.T @ design, design.T @ target, -random.uniform(0, 1, n)


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 60))
def test_as_low_as_another_solver_and_within_the_bounds(seed, n, rows):
    design, target, matrix, seen, lower = problem(seed, n, rows)
    found = bounded_squares(matrix, seen, lower)
    best = lsq_linear(design, target, bounds=(lower, np.inf), method="bvls").x
    assert (found >= lower).all()
    assert np.linalg.norm(design @ found - target) <= np.linalg.norm(design @ best - target) + 1e-7
    if rows > 2 * n:
        np.testing.assert_allclose(found, best, atol=1e-6)
    else:
        # The ridge is hardly larger than rounding: a larger one finds the smallest, and fits worse (to 2e-5 at 1e-12).
        assert np.linalg.norm(found) <= np.linalg.norm(best) * (1 + 1e-2)


@pytest.mark.parametrize("tries", [0, 3])
def test_exchanges_one_at_a_time_end_at_the_same(tries, monkeypatch):
    _, _, matrix, seen, lower = problem(5, 60, 200)
    usual = bounded_squares(matrix, seen, lower)
    assert (usual == lower).any()
    monkeypatch.setattr(module, "TRIES", tries)
    np.testing.assert_allclose(bounded_squares(matrix, seen, lower), usual, atol=1e-9)


def test_where_exchanges_do_not_end_the_slow_solver_answers(monkeypatch):
    _, _, matrix, seen, lower = problem(6, 30, 100)
    usual = bounded_squares(matrix, seen, lower)
    monkeypatch.setattr(module, "_exchanged", lambda *_: None)
    np.testing.assert_allclose(bounded_squares(matrix, seen, lower), usual, atol=1e-6)

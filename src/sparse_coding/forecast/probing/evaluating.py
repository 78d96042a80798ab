"""Processor time of evaluation: measuring a dictionary, refitting its gains, solving for them; a vector each."""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch

from sparse_coding.core.dictionary import Activation, Dictionary
from sparse_coding.core.finder import largest_codes
from sparse_coding.core.metrics.gain_refit import _add_products, nonnegative_gains
from sparse_coding.core.metrics.ratios import Ratio
from sparse_coding.core.metrics.reconstruction import Reconstruction
from sparse_coding.core.pursuit import matching_pursuit
from sparse_coding.forecast.probing.probe import seconds_of
from sparse_coding.portions.encoding import ENCODE_ROWS
from sparse_coding.portions.measuring import MEASURE_ROWS

WIDEST = 4096  # features of the largest probe
SOLVED = 384  # features of the system that is solved; time grows with the cube
FEW_ITERATIONS, MORE_ITERATIONS = 2, 8  # of non-negative least squares
SHARE = 0.02  # of codes that are positive


def _dictionary(n_feat: int, d_act: int, k: int | None, iterations: int | None) -> Dictionary:
    generator = torch.Generator().manual_seed(0)
    atoms = torch.nn.functional.normalize(torch.randn(n_feat, d_act, generator=generator), dim=1)
    bias = torch.full((n_feat,), -2.0)  # of standard normal scores: few are above
    activation: Activation = "nnls" if iterations else "topk" if k else "relu"
    ones = torch.ones(n_feat)
    if iterations:
        atoms = atoms.abs()
    return Dictionary(atoms, bias, atoms, torch.zeros(d_act), ones, activation, k, iterations)


def _scaled(timed: Callable[[int | None], float], iterations: int | None) -> float:
    """Seconds of a call; of one by non-negative least squares from two of few iterations."""
    if not iterations:
        return timed(None)
    few, more = timed(FEW_ITERATIONS), timed(MORE_ITERATIONS)
    return few + (iterations - FEW_ITERATIONS) * max(more - few, 0.0) / (MORE_ITERATIONS - FEW_ITERATIONS)


@cache
def measured(n_feat: int, d_act: int, k: int | None, iterations: int | None, variants: int) -> float:
    """Seconds a vector of encoding, and for each variant decoding and the sums."""
    tried = min(n_feat, WIDEST)
    x, cluster = torch.randn(MEASURE_ROWS, d_act), torch.zeros(MEASURE_ROWS, dtype=torch.int64)
    sums = [Reconstruction(torch.zeros(d_act), tried, 1) for _ in range(variants)]

    def call(dictionary: Dictionary) -> None:
        codes = dictionary.encode(x)
        for result in sums:
            result.add(x, codes, dictionary.decode(codes), cluster)

    def timed(of: int | None) -> float:
        dictionary = _dictionary(tried, d_act, k, of)
        return seconds_of(lambda: call(dictionary), least=0.05)

    return _scaled(timed, iterations) / MEASURE_ROWS * n_feat / tried


@cache
def reconstructed(n_feat: int, d_act: int, k: int | None, iterations: int | None) -> float:
    """Seconds a vector of encoding and decoding."""
    tried = min(n_feat, WIDEST)
    x = torch.randn(MEASURE_ROWS, d_act)

    def timed(of: int | None) -> float:
        dictionary = _dictionary(tried, d_act, k, of)
        return seconds_of(lambda: dictionary.reconstruct(x), least=0.05)

    return _scaled(timed, iterations) / MEASURE_ROWS * n_feat / tried


@cache
def chosen(n_feat: int, d_act: int, k: int | None, iterations: int | None, features: int) -> float:
    """Seconds a vector of the codes of some features: of TopK by a screen of all, of NMF by all."""
    tried = min(n_feat, WIDEST)
    x, some = torch.randn(ENCODE_ROWS, d_act), torch.arange(min(features, tried))

    def timed(of: int | None) -> float:
        dictionary = _dictionary(tried, d_act, k, of)
        return seconds_of(lambda: dictionary.encode_features(x, some, largest_codes), least=0.05)

    return _scaled(timed, iterations) / ENCODE_ROWS * (n_feat / tried if k else 1)


@cache
def interval(clusters: int) -> float:
    """Seconds of the interval of one metric."""
    draws = np.random.default_rng(0)
    ratio = Ratio(draws.random(clusters), draws.random(clusters) + 1)
    return seconds_of(ratio.interval, least=0.05)


@cache
def refitted(n_feat: int, d_act: int) -> float:
    """Seconds a training vector of the sums that the gain refit is solved from."""
    tried = min(n_feat, 2048)
    dictionary, x = _dictionary(tried, d_act, None, None), torch.randn(MEASURE_ROWS, d_act)
    gram, seen = torch.zeros(tried, tried, dtype=torch.float64), torch.zeros(tried, d_act, dtype=torch.float64)

    def call() -> None:
        _add_products(gram, seen, dictionary.encode(x).double(), x.double())

    return seconds_of(call, least=0.1) / MEASURE_ROWS * (n_feat / tried) ** 1.5


@cache
def pursued(n_feat: int, d_act: int, steps: int) -> float:
    """Seconds a vector of its codes by so many steps of matching pursuit."""
    tried = min(n_feat, WIDEST)
    atoms, x = _dictionary(tried, d_act, None, None).decoder, torch.randn(MEASURE_ROWS, d_act)
    counts, gram = torch.full((MEASURE_ROWS,), min(steps, tried)), atoms @ atoms.T
    return seconds_of(lambda: matching_pursuit(x, atoms, counts, gram), least=0.05) / MEASURE_ROWS * n_feat / tried


@cache
def _solved() -> float:
    draws = np.random.default_rng(0)
    factor = draws.standard_normal((SOLVED, 2 * SOLVED))
    normal = factor @ factor.T
    target = normal.sum(axis=1) * draws.uniform(
        0.95, 1.2, SOLVED
    )  # no gain at its bound, as in all dictionaries of the default
    return seconds_of(lambda: nonnegative_gains(normal, target), least=0.2)


def solved(n_feat: int) -> float:
    """Seconds in which the gains of a dictionary are found: an eigendecomposition, and least squares with bounds."""
    return _solved() * (n_feat / SOLVED) ** 3

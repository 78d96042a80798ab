"""Processor time of baselines: from the products that each method takes, at the speed of products of that shape."""

from collections.abc import Callable
from functools import cache, partial

import torch

from sparse_coding.core.baselines import nmf
from sparse_coding.forecast.probing.probe import seconds_of
from sparse_coding.portions.baselines import nmf_rows
from sparse_coding.settings.params import Baseline
from sparse_coding.settings.slices import BaselinesSlice

ROWS = 2048
USUAL_ITERATIONS = 120  # after which FastICA ended: 95 of 200 on the tiny preset, 150 on the default
NONLINEAR = 3  # passes over the sample as dear as one tanh


@cache
def product(d_act: int, double: bool = False) -> float:
    """Seconds a row of a product with a matrix [d_act, d_act], in torch's own routine."""
    kind = torch.float64 if double else torch.float32
    x, w = torch.randn(ROWS, d_act, dtype=kind), torch.randn(d_act, d_act, dtype=kind)
    return seconds_of(lambda: x @ w, least=0.05) / ROWS


@cache
def _tanh(d_act: int) -> float:
    x = torch.randn(ROWS, d_act)
    return seconds_of(lambda: torch.tanh(x), least=0.02) / ROWS


@cache
def _decomposed(d_act: int) -> float:
    """Seconds of the eigenvalues of a symmetric matrix, float64; of large ones by the cube."""
    tried = min(d_act, 512)
    x = torch.randn(tried, tried, dtype=torch.float64)
    gram = x @ x.T
    return seconds_of(lambda: torch.linalg.eigvalsh(gram), least=0.05) * (d_act / tried) ** 3


@cache
def _descended(d_act: int) -> float:
    """Seconds a row of one step of NMF towards its codes: a product, and passes over the codes."""
    atoms = torch.nn.functional.normalize(torch.rand(d_act, d_act), dim=1)
    codes = torch.rand(ROWS, d_act)
    gram, target = atoms @ atoms.T, torch.rand(ROWS, d_act)
    few, more = (seconds_of(partial(nmf._descend, gram, target, codes, steps), least=0.05) for steps in (1, 5))
    return max(more - few, 0.0) / 4 / ROWS


def all_of(own: BaselinesSlice, d_act: int, train_rows: int) -> float:
    """Seconds of all methods of a site, each fitted once."""
    total, seen = 0.0, set()
    for member in own.members.values():
        if member.method in seen:
            continue
        seen.add(member.method)
        rows = min(member.rows or train_rows, train_rows)
        total += _SECONDS[member.method](rows, member.iterations or 1, d_act)
    return total


def _pca(rows: int, iterations: int, d_act: int) -> float:
    return rows * product(d_act, double=True) + 5 * _decomposed(d_act)


def _random(rows: int, iterations: int, d_act: int) -> float:
    return 5 * _decomposed(d_act)


def _neuron_basis(rows: int, iterations: int, d_act: int) -> float:
    return 0.0


def _ica(rows: int, iterations: int, d_act: int) -> float:
    """How many iterations it takes hangs on the vectors."""
    iterations = min(iterations, USUAL_ITERATIONS)
    once = 2 * product(d_act) + NONLINEAR * _tanh(d_act)
    return iterations * (rows * once + 3 * _decomposed(d_act)) + rows * 2 * product(d_act, double=True)


def _nmf(rows: int, iterations: int, d_act: int) -> float:
    """Visits of blocks: first codes, then codes and atoms in turn."""
    visits = -(-iterations // nmf.VISIT)
    blocks = max(1, rows // nmf_rows(d_act))
    a_row = (nmf.FIRST_CODES + nmf.VISIT * nmf.CODE_STEPS) * _descended(d_act) + 3 * nmf.VISIT * product(d_act)
    an_atom = nmf.VISIT * (nmf.ATOM_STEPS * _descended(d_act) + product(d_act))
    by_visit = rows / blocks * a_row + d_act * an_atom + nmf.VISIT * 2 * _decomposed(d_act)
    return visits * blocks * by_visit + 20 * rows / blocks * product(d_act)


_SECONDS: dict[Baseline, Callable[[int, int, int], float]] = {
    "pca": _pca,
    "ica": _ica,
    "nmf": _nmf,
    "neuron_basis": _neuron_basis,
    "random": _random,
}

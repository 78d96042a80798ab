"""Processor time of baselines: from what each method says that it takes, at the speed of products of that shape."""

from collections.abc import Callable
from functools import cache, partial

import torch

from sparse_coding.core.baselines import nmf, work
from sparse_coding.core.baselines.contract import Work
from sparse_coding.forecast.probing.probe import seconds_of
from sparse_coding.settings.slices import BaselinesSlice

ROWS = 2048


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
    once = {member.method: member for member in own.members.values()}
    return sum(_seconds(work(kind, train_rows, d_act, member.reads), d_act) for kind, member in once.items())


def _seconds(own: Work, d_act: int) -> float:
    return sum(number * _ONE[name](d_act) for name, number in own._asdict().items() if number)


_ONE: dict[str, Callable[[int], float]] = {
    "products": product,
    "double_products": partial(product, double=True),
    "decompositions": _decomposed,
    "tanh": _tanh,
    "descents": _descended,
}

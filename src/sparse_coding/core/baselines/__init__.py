"""Dictionaries to compare with, a module a kind: linear bases, signed, and non-negative matrix factorisation.

All keep the contract of core.dictionary. The top-k variant of a signed basis is the same dictionary with
`activation="topk"`. File reading and thread counts are the caller's.
"""

import importlib
from dataclasses import replace
from types import ModuleType

from sparse_coding import methods
from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput


def build(kind: str, vectors: Vectors, settings: Settings) -> Fitted:
    """The baseline of a kind. Raises BadInput for a kind that is none, and what its fit raises."""
    return _module(kind).build(vectors, settings)


def variant(kind: str, whole: Dictionary, k: int) -> Dictionary:
    """A baseline with k codes for each vector: the largest, or as its module has it, `of_rank`."""
    of_rank = getattr(_module(kind), "of_rank", None)
    return of_rank(whole, k) if of_rank else replace(whole, activation="topk", k=k)


def work(kind: str, rows: int, d_act: int, settings: Settings) -> Work:
    """What its fit takes, on so many training vectors. Raises BadInput as `build`."""
    return _module(kind).work(rows, d_act, settings)


def _module(kind: str) -> ModuleType:
    if methods.is_learned(kind):
        raise BadInput("baseline", repr(kind), f"one of {', '.join(methods.BASELINES)}")
    return importlib.import_module(f"sparse_coding.core.baselines.{kind}")

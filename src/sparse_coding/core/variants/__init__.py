"""Variants of a dictionary, the same features with other codes: a module each, named as in params.yaml."""

import importlib

from sparse_coding import variants
from sparse_coding.core.variants.contract import Recoding


def build(name: str) -> Recoding:
    """What makes a variant. Raises BadInput for one that there is not."""
    recoding = importlib.import_module(f"sparse_coding.core.variants.{variants.of(name).name}").build()
    assert isinstance(recoding, Recoding)
    return recoding

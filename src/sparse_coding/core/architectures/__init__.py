"""The kinds of sparse autoencoder: a module each, named as in params.yaml."""

import importlib

from sparse_coding import methods
from sparse_coding.core.architectures.contract import Architecture, Settings
from sparse_coding.errors import BadInput


def build(kind: str, settings: Settings, d_in: int | None = None) -> Architecture:
    """The architecture of a kind, of its section in params.yaml; d_in: dimensions of the first place of a pair.

    Raises BadInput for a kind that is none, and for one that is not of such vectors.
    """
    if not methods.is_learned(kind):
        raise BadInput("architecture", repr(kind), f"one of {', '.join(methods.LEARNED)}")
    if methods.of(kind).pairs != (d_in is not None):
        found = "vectors of one place" if d_in is None else "those of a pair of places"
        raise BadInput(kind, found, "a pair" if d_in is None else "one place")
    settings = settings if d_in is None else {**settings, "d_in": d_in}
    architecture = importlib.import_module(f"sparse_coding.core.architectures.{kind}").build(settings)
    assert isinstance(architecture, Architecture)
    return architecture

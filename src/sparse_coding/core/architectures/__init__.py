"""The kinds of sparse autoencoder: a module each, named as in params.yaml."""

import importlib

from sparse_coding import methods
from sparse_coding.core.architectures.contract import Architecture, Settings
from sparse_coding.errors import BadInput


def build(kind: str, settings: Settings) -> Architecture:
    """The architecture of a kind, of its section in params.yaml. Raises BadInput for a kind that is none."""
    if not methods.is_learned(kind):
        raise BadInput("architecture", repr(kind), f"one of {', '.join(methods.LEARNED)}")
    architecture = importlib.import_module(f"sparse_coding.core.architectures.{kind}").build(settings)
    assert isinstance(architecture, Architecture)
    return architecture

"""The optimisers of dictionaries: a module each, named as in params.yaml."""

import importlib
from collections.abc import Callable

from sparse_coding import methods
from sparse_coding.core.architectures.contract import Parameters, Settings
from sparse_coding.core.training.optimisers.contract import Optimiser
from sparse_coding.errors import BadInput


def build(name: str, settings: Settings) -> Callable[[Parameters], Optimiser]:
    """What makes an optimiser of parameters, of the section `dictionaries`. Raises BadInput for one that is none."""
    if name not in methods.OPTIMISERS:
        raise BadInput("dictionaries.optimiser", repr(name), f"one of {', '.join(methods.OPTIMISERS)}")
    made: Callable[[Parameters], Optimiser] = importlib.import_module(
        f"sparse_coding.core.training.optimisers.{name}"
    ).build(settings)
    return made

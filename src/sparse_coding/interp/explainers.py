"""What an explainer sees of a feature, and what it finds."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

LEVELS = 10


@dataclass(frozen=True)
class Records:
    """Fragments and the activations of one feature on them, at least 0; tokens are numbers in the vocabulary."""

    tokens: Int[np.ndarray, "record token"]
    activations: Float[np.ndarray, "record token"]


@runtime_checkable
class Explanation(Protocol):
    """What an explainer found: words for people, and whatever its judge needs."""

    @property
    def text(self) -> str:
        """The explanation as people read it."""
        ...

    @property
    def n_rules(self) -> int | None:
        """How many rules it has; None where it is not made of rules."""
        ...


def discretise(activations: Float[np.ndarray, "record token"]) -> Int[np.ndarray, "record token"]:
    """Levels 0 to 10, min(10, floor(10 relu(x) / max)), max over the records shown; all 0 where nothing is positive.

    Bills et al. 2023; what an explainer sees of the activations.
    """
    rectified = np.maximum(activations.astype(np.float64), 0)
    highest = rectified.max(initial=0)
    if highest == 0:
        return np.zeros(activations.shape, np.int64)
    return np.minimum(LEVELS, np.floor(LEVELS * rectified / highest)).astype(np.int64)

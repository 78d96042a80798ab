"""What tests an explanation: from a sentence to predicted activations."""

from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp.explainers import Explanation

E_contra = TypeVar("E_contra", bound=Explanation, contravariant=True)


@runtime_checkable
class Simulator(Protocol[E_contra]):
    """Predicts a feature from its explanation. A language model can take this place."""

    def simulate(
        self, explanation: E_contra, tokens: Int[np.ndarray, "record token"]
    ) -> Float[np.ndarray, "record token"]:
        """The activation to expect on each token, on any scale: only its correlation with the truth counts."""
        ...

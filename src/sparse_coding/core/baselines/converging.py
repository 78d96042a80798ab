"""What both ways to call FastICA share."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from sparse_coding.errors import BadInput


class Convergence(NamedTuple):
    """Iterations run, and whether FastICA's own test ended them before the last one allowed."""

    iterations: int
    converged: bool


def check_varies(sample: Float[Tensor, "row d_act"]) -> None:
    """Raise BadInput unless `sample` has two rows that differ: there is nothing to tell components from."""
    if bool((sample == sample[:1]).all()):
        found = f"{len(sample)} vector(s), all the same"
        raise BadInput("ICA", found, "vectors that differ from each other")

"""Likeness of directions in two dictionaries."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize


def mmcs(truth: Float[Tensor, "n d_act"], learned: Float[Tensor, "m d_act"]) -> float:
    """Mean max cosine similarity: mean over i of max over j of cos(truth_i, learned_j) (Sharkey et al. 2022).

    1 says that each true atom was found; learned atoms that match none cost nothing. A sign counts: d and -d are
    two directions.
    """
    cosines = normalize(truth.double(), dim=1) @ normalize(learned.double(), dim=1).T
    return float(cosines.max(dim=1).values.mean())

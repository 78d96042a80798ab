"""How well values rank two kinds apart."""

import numpy as np
from jaxtyping import Bool, Float


def auc(values: Float[np.ndarray, " text"], truth: Bool[np.ndarray, " text"]) -> float:
    """Area under the ROC curve: the share of pairs, one of each kind, in which the true one is higher; ties half."""
    first, second = values[truth][:, None], values[~truth][None, :]
    return float(((first > second) + 0.5 * (first == second)).mean())

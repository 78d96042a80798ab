"""The score of one feature: how well its explanation predicts it on fragments that the explainer has not seen."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from sparse_coding.interp.explainers import Records

Status = Literal["ok", "dead", "too_few", "pred_constant", "truth_constant", "failed"]


@dataclass(frozen=True)
class FeatureScore:
    """A row of the table. A score that is not defined is None.

    ok: scored. dead: fires on no fragment. too_few: fires on some, or is silent on some, but there are too few to
    choose from. pred_constant: the prediction is constant on all ten fragments, and the score counts as 0.
    truth_constant: the activation is the same on every token, and no correlation exists. failed: a language model
    gave no answer that can be used; `reason` says why. Only ok and pred_constant have scores.
    For simulations `status` is about `top_and_random`; `top` and `random` follow the same rule, each on its own
    fragments: 0 for a constant prediction, None for a constant truth.
    """

    feature: int
    status: Status
    n_firing_fragments: int
    reason: str | None = None
    explanation: str | None = None
    n_rules: int | None = None
    top: float | None = None
    random: float | None = None
    top_and_random: float | None = None
    balanced_accuracy: float | None = None
    sensitivity: float | None = None
    specificity: float | None = None


Scores = dict[str, FeatureScore]  # by source


def simulated(
    feature: int,
    n_firing_fragments: int,
    tested: Records,
    n_top: int,
    prediction: Float[np.ndarray, "fragment token"],
) -> FeatureScore:
    """Hold a prediction against the truth of `tested`: on its first `n_top` fragments, on the others, on all."""
    truth = tested.activations
    return FeatureScore(
        feature=feature,
        status=_status(truth, prediction),
        n_firing_fragments=n_firing_fragments,
        top=correlation(truth[:n_top], prediction[:n_top]),
        random=correlation(truth[n_top:], prediction[n_top:]),
        top_and_random=correlation(truth, prediction),
    )


def correlation(
    truth: Float[np.ndarray, "fragment token"], prediction: Float[np.ndarray, "fragment token"]
) -> float | None:
    """One Pearson correlation over all tokens of all fragments together (Bills et al. 2023).

    0 where the prediction is constant: it explains nothing. None where the truth is constant: nothing to explain.
    """
    if np.ptp(truth) == 0:
        return None
    if np.ptp(prediction) == 0:
        return 0.0
    return float(np.corrcoef(truth.ravel().astype(np.float64), prediction.ravel())[0, 1])


def _status(truth: Float[np.ndarray, "fragment token"], prediction: Float[np.ndarray, "fragment token"]) -> Status:
    if np.ptp(truth) == 0:
        return "truth_constant"
    return "pred_constant" if np.ptp(prediction) == 0 else "ok"

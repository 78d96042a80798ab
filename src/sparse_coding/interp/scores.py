"""The score of one feature: how well its explanation predicts it on fragments that the explainer has not seen."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp import fragments
from sparse_coding.interp.explainers import Explainer, Records
from sparse_coding.interp.simulators import Simulator

Status = Literal["ok", "dead", "too_few", "pred_constant", "truth_constant"]


@dataclass(frozen=True)
class FeatureScore:
    """A row of the table. `status` is about `top_and_random`; a score that is not defined is None.

    ok: scored. dead: fires on no fragment. too_few: fires on 1 to 24 fragments, too few to choose from; neither
    has scores. pred_constant: the prediction is constant on all ten fragments, and the score counts as 0.
    truth_constant: the activation is the same on every token, and no correlation exists.
    `top` and `random` follow the same rule, each on its own fragments: 0 for a constant prediction, None for a
    constant truth.
    """

    feature: int
    status: Status
    n_firing_fragments: int
    explanation: str | None = None
    n_rules: int | None = None
    top: float | None = None
    random: float | None = None
    top_and_random: float | None = None


@dataclass(frozen=True)
class Scorer:
    """Explainer and simulator on one set of fragments; tokens: [fragment, token], numbers in the vocabulary."""

    explainer: Explainer[Any]
    simulator: Simulator[Any]
    tokens: Int[np.ndarray, "fragment token"]
    seed: int

    def score(
        self, feature: int, activations: Float[np.ndarray, "fragment token"], shuffled: bool = False
    ) -> FeatureScore:
        """Explain `feature` from 5 fragments, then score on 5 others of the top 20 and on 5 random ones.

        `shuffled` is the null: positions are permuted inside each fragment before anything else is done. The
        result depends on the arguments and the seed alone, not on the features scored before.
        """
        maxima = activations.max(axis=1)
        firing = int(np.count_nonzero(maxima > 0))
        chosen = fragments.select(maxima, feature, self.seed)
        if chosen is None:
            return FeatureScore(feature, "too_few" if firing else "dead", firing)

        used = np.concatenate([chosen.train, chosen.top, chosen.random])
        tokens, truth = self.tokens[used], activations[used]
        if shuffled:
            truth = fragments.shuffle_positions(truth, feature, self.seed)
        n_train, n_top = len(chosen.train), len(chosen.top)
        explanation = self.explainer.explain(Records(tokens[:n_train], truth[:n_train]))
        tokens, truth = tokens[n_train:], truth[n_train:]
        prediction = self.simulator.simulate(explanation, tokens)
        return FeatureScore(
            feature=feature,
            status=_status(truth, prediction),
            n_firing_fragments=firing,
            explanation=explanation.text,
            n_rules=explanation.n_rules,
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

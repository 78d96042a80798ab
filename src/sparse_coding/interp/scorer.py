"""Explain a feature and test the explanation, with an explainer and a simulator that run here."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp.cases import simulation_case
from sparse_coding.interp.explainers import Explainer
from sparse_coding.interp.fragments import Mode
from sparse_coding.interp.scores import FeatureScore, simulated
from sparse_coding.interp.simulators import Simulator


@dataclass(frozen=True)
class Scorer:
    """Explainer and simulator on one set of fragments; tokens: [fragment, token], numbers in the vocabulary."""

    explainer: Explainer[Any]
    simulator: Simulator[Any]
    tokens: Int[np.ndarray, "fragment token"]
    seed: int
    mode: Mode = "nonzero"

    def score(
        self, feature: int, activations: Float[np.ndarray, "fragment token"], shuffled: bool = False
    ) -> FeatureScore:
        """Explain `feature` from 5 fragments, then score on 5 others of the top 20 and on 5 random ones."""
        case = simulation_case(self.tokens, activations, feature, self.seed, self.mode, shuffled)
        if isinstance(case, FeatureScore):
            return case
        explanation = self.explainer.explain(case.train)
        return simulated(
            case.feature,
            case.n_firing_fragments,
            case.tested,
            case.n_top,
            self.simulator.simulate(explanation, case.tested.tokens),
            explanation.text,
            explanation.n_rules,
        )

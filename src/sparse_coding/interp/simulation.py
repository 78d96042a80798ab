"""The judge that predicts activations: from an explanation to what it lets one expect on each token of ten fragments.

The protocol is that of Bills et al. 2023. Who predicts, token rules or a language model, is its simulator.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp import fragments
from sparse_coding.interp.cases import Case, Feature, Fragments, firing
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.fragments import Mode
from sparse_coding.interp.scores import FeatureScore, Scores, simulated

Values = Float[np.ndarray, "fragment token"]
Predictions = dict[str, Values | str]  # by source; a text: why there are none


@runtime_checkable
class Simulator(Protocol):
    """Predicts a feature from its explanation."""

    @property
    def name(self) -> str:
        """As the table says."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """What its predictions are made of, the best first. Their scores are not comparable."""
        ...

    @property
    def digest(self) -> str | None:
        """Of its prompt; None where it has none."""
        ...

    def questions(self, explanation: Any, tokens: Int[np.ndarray, "fragment token"]) -> list[Any]:
        """All that is asked about one feature."""
        ...

    def predictions(
        self, explanation: Any, tokens: Int[np.ndarray, "fragment token"], answers: Sequence[Any]
    ) -> Predictions:
        """The activation to expect on each token, on any scale: only its correlation with the truth counts."""
        ...


@dataclass(frozen=True)
class SimulationCase(Case):
    """tested: 10 fragments that are not shown, the first `n_top` of them of the top 20."""

    tested: Records
    n_top: int


@dataclass(frozen=True)
class Simulation:
    """Judge by a simulator.

    show: from highest activations, what is tested, feature and seed to what the explainer sees; None: 5 of the top 20,
    as in Bills et al. 2023.
    """

    fragments: Fragments
    by: Simulator
    mode: Mode = "nonzero"
    show: Callable[..., Int[np.ndarray, " shown"]] | None = None

    @property
    def simulator(self) -> str:
        """See Judge."""
        return self.by.name

    @property
    def sources(self) -> tuple[str, ...]:
        """See Judge."""
        return self.by.sources

    @property
    def digest(self) -> str | None:
        """See Judge."""
        return self.by.digest

    def case(self, feature: Feature) -> SimulationCase | FeatureScore:
        """See Judge. What is tested does not hang on what is shown, nor the result on the features before."""
        tokens, seed, maxima = self.fragments.tokens, self.fragments.seed, feature.maxima
        chosen = fragments.select(maxima, feature.number, seed, self.mode)
        if chosen is None:
            return feature.unscored()
        used = np.concatenate([chosen.train, chosen.top, chosen.random])
        truth, n_train = feature.on(used, seed), len(chosen.train)
        train = Records(tokens[chosen.train], truth[:n_train])
        if self.show is not None:
            seen = self.show(maxima, used[n_train:], feature.number, seed)
            train = Records(tokens[seen], feature.on(seen, seed))
        tested = Records(tokens[used[n_train:]], truth[n_train:])
        return SimulationCase(feature.number, firing(maxima), train, tested, len(chosen.top))

    def questions(self, explanation: Any, case: SimulationCase) -> list[Any]:
        """See Judge."""
        return self.by.questions(explanation, case.tested.tokens)

    def scores(self, explanation: Any, case: SimulationCase, answers: Sequence[Any]) -> Scores:
        """See Judge."""
        about = case.feature, case.n_firing_fragments
        return {
            source: FeatureScore(case.feature, "failed", case.n_firing_fragments, prediction)
            if isinstance(prediction, str)
            else simulated(*about, case.tested, case.n_top, prediction)
            for source, prediction in self.by.predictions(explanation, case.tested.tokens, answers).items()
        }

"""Who explains and who judges, in one form for rules that are computed here and for language models that are asked.

They ask nobody themselves: they say what is to be asked (`interp.judge.questions.Question`), and what they make of the
answers, which come in the order of the questions, each as its question parsed it. Token rules have no questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from sparse_coding.interp.cases import Feature
from sparse_coding.interp.explainers import Explanation, Records
from sparse_coding.interp.scores import FeatureScore, Scores


@runtime_checkable
class Explainer(Protocol):
    """Looks at fragments on which a feature is active."""

    @property
    def digest(self) -> str | None:
        """Of its prompt; None where it has none."""
        ...

    def questions(self, records: Records) -> list[Any]:
        """All that is asked about these records."""
        ...

    def explained(self, records: Records, answers: Sequence[Any]) -> Explanation:
        """When the feature is active, knowing only these records."""
        ...


@runtime_checkable
class Judge(Protocol):
    """Tests explanations of the explainer beside it, None where that is nobody; a case is one that it made."""

    @property
    def simulator(self) -> str:
        """How, as the table says."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """What its scores are made of, the best first."""
        ...

    @property
    def digest(self) -> str | None:
        """Of its prompt; None where it has none."""
        ...

    def case(self, feature: Feature) -> Any:
        """What a feature is tested on, a Case; or its FeatureScore where it cannot be."""
        ...

    def questions(self, explanation: Any, case: Any) -> list[Any]:
        """All that is asked about one feature."""
        ...

    def scores(self, explanation: Any, case: Any, answers: Sequence[Any]) -> Scores:
        """Hold what follows from the explanation against the truth."""
        ...


@dataclass(frozen=True)
class Panel:
    """Who explains, None where no explanation is needed, and who judges."""

    explainer: Explainer | None
    judge: Judge

    @property
    def digest(self) -> str | None:
        """What tells versions of the prompts apart: the digests of the explainer's and of the judge's."""
        digests = (self.explainer.digest if self.explainer else None, self.judge.digest)
        return "+".join(filter(None, digests)) or None

    def scores(self, explanation: Explanation | None, case: Any, answers: Sequence[Any]) -> Scores:
        """The rows of a case, with the explanation."""
        found = self.judge.scores(explanation, case, answers)
        if explanation is None:
            return found
        text, n_rules = explanation.text, explanation.n_rules
        return {source: replace(score, explanation=text, n_rules=n_rules) for source, score in found.items()}

    def computed(self, feature: Feature) -> Scores:
        """The rows of a feature, where nobody is to be asked."""
        case = self.judge.case(feature)
        if isinstance(case, FeatureScore):
            return dict.fromkeys(self.judge.sources, case)
        explanation = None if self.explainer is None else self.explainer.explained(case.train, [])
        return self.scores(explanation, case, [])

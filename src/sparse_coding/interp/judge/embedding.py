"""The embedding scorer: is an explanation nearer to texts in which the feature fires than to others? No judge is asked.

After the embedding scorer of delphi: explanation and texts become vectors of a sentence-embedding model, and their
cosines rank the texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from sparse_coding.interp.cases import Feature, Fragments
from sparse_coding.interp.explainers import Explanation
from sparse_coding.interp.judge.choosing import Shown
from sparse_coding.interp.judge.classifying import ClassifiedCase, classified_case
from sparse_coding.interp.judge.judged import JudgedScore
from sparse_coding.interp.judge.questions import Question
from sparse_coding.interp.judge.ranking import auc
from sparse_coding.interp.scores import FeatureScore, Scores

Embed = Callable[[Sequence[str]], Float[np.ndarray, "text dimension"]]  # unit rows


def embedded(case: ClassifiedCase, explanation: str, embed: Embed) -> JudgedScore:
    """auc: of the cosines between the explanation and the texts; 0.5 is what knowing nothing gives."""
    vectors = embed([explanation, *("".join(pieces) for pieces in case.texts)])
    similar = vectors[1:] @ vectors[0]
    return JudgedScore(
        feature=case.feature,
        status="pred_constant" if np.ptp(similar) == 0 else "ok",
        n_firing_fragments=case.n_firing_fragments,
        negatives=case.negatives,
        auc=auc(similar, case.truth),
    )


@dataclass(frozen=True)
class Embedding:
    """Rank the texts of detection by their likeness to the explanation; embed: None where nothing is to be scored."""

    fragments: Fragments
    n: int
    shown: Shown
    simulator: str
    embed: Embed | None
    digest: str
    sources = ("cosines",)

    def case(self, feature: Feature) -> ClassifiedCase | FeatureScore:
        """See Judge."""
        return classified_case("detection", self.fragments, feature, self.n, self.shown)

    def questions(self, explanation: Explanation, case: ClassifiedCase) -> list[Question]:
        """None: the vectors are computed."""
        return []

    def scores(self, explanation: Explanation, case: ClassifiedCase, answers: Sequence[Any]) -> Scores:
        """See Judge."""
        assert self.embed is not None
        return {self.sources[0]: embedded(case, explanation.text, self.embed)}

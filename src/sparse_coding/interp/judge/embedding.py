"""The embedding scorer: is an explanation nearer to texts in which the feature fires than to others? No judge is asked.

After the embedding scorer of delphi: explanation and texts become vectors of a sentence-embedding model, and their
cosines rank the texts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp.judge.choosing import Near, Shown
from sparse_coding.interp.judge.classifying import ClassifiedCase, Known, classified_case
from sparse_coding.interp.judge.judged import JudgedScore, Scores
from sparse_coding.interp.judge.ranking import auc
from sparse_coding.interp.scores import FeatureScore
from sparse_coding.llm.client import Client
from sparse_coding.llm.request import Request

Embed = Callable[[Sequence[str]], Float[np.ndarray, "text dimension"]]  # unit rows


def embedded(case: ClassifiedCase, explanation: str, embed: Embed) -> JudgedScore:
    """auc: of the cosines between the explanation and the texts; 0.5 is what knowing nothing gives."""
    vectors = embed([explanation, *("".join(pieces) for pieces in case.texts)])
    similar = vectors[1:] @ vectors[0]
    return JudgedScore(
        feature=case.feature,
        status="pred_constant" if np.ptp(similar) == 0 else "ok",
        n_firing_fragments=case.n_firing_fragments,
        explanation=explanation,
        negatives=case.negatives,
        auc=auc(similar, case.truth),
    )


@dataclass(frozen=True)
class Embedding:
    """Rank texts by their likeness to the explanation; embed: None where nothing is to be scored."""

    embed: Embed | None
    digest: str
    vocabulary: Sequence[str]
    tokens: Int[np.ndarray, "fragment token"]
    seed: int
    examples: int
    shown: Shown
    simulator: str
    sources: tuple[str, ...] = ("cosines",)

    def case(
        self,
        activations: Float[np.ndarray, "fragment token"],
        feature: int,
        shuffled: bool,
        near: Near | None = None,
    ) -> ClassifiedCase | FeatureScore:
        """See Judge. The texts are those of detection."""
        texts = self.tokens, activations, self.vocabulary
        return classified_case("detection", *texts, feature, self.seed, self.examples, shuffled, self.shown, near)

    def requests(self, explanation: str, case: ClassifiedCase, known: Known | None = None) -> list[Request]:
        """See Judge: none."""
        return []

    async def score(self, client: Client, explanation: str, case: ClassifiedCase) -> Scores:
        """See Judge."""
        assert self.embed is not None
        return {self.sources[0]: embedded(case, explanation, self.embed)}

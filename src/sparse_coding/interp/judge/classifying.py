"""The judge as classifier: can it tell by the explanation which texts, or which marked pieces, switch a feature on?

Detection and fuzzing, after Paulo et al. 2024, with their gaps closed: no text that is asked about was shown to the
explainer, both kinds are equally many, and in fuzzing they differ in their marks alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from sparse_coding.interp.cases import Case, Feature, Fragments, firing
from sparse_coding.interp.explainers import Explanation, Records
from sparse_coding.interp.judge import choosing
from sparse_coding.interp.judge.choosing import ORIGINAL, Negatives, Shown
from sparse_coding.interp.judge.judged import JudgedScore
from sparse_coding.interp.judge.marks import MARKED, in_pieces, listed
from sparse_coding.interp.judge.prompts import quoted
from sparse_coding.interp.judge.questions import Asked, Question, whole_numbers
from sparse_coding.interp.judge.ranking import auc
from sparse_coding.interp.judge.simulating import ROOM, VALUE_TOKENS
from sparse_coding.interp.scores import FeatureScore, Scores
from sparse_coding.llm.answers import digits_of, expected_values
from sparse_coding.llm.client import Answer
from sparse_coding.llm.request import Request

Kind = Literal["detection", "fuzzing"]


@dataclass(frozen=True)
class ClassifiedCase(Case):
    """Texts to be told apart, in the order in which they are asked about."""

    texts: tuple[tuple[str, ...], ...]  # pieces: outside a mark, inside, outside, ...
    truth: Bool[np.ndarray, " text"]
    negatives: Negatives


def classified_case(
    kind: Kind, text: Fragments, feature: Feature, n: int, shown: Shown = ORIGINAL
) -> ClassifiedCase | FeatureScore:
    """`n` texts of each kind for a feature, or its row where there are too few.

    detection: the feature fires in them, or does not. fuzzing: it fires in all; marked are the tokens on which it is
    above MARKED of its highest there, or as many on which it is silent. Where a feature is hardly ever silent, and for
    its nearest, see interp.judge.choosing.
    """
    seed, number, maxima = text.seed, feature.number, feature.maxima
    activations = feature.on(slice(None), seed)
    if kind == "detection":
        chosen = choosing.whole_texts(maxima, number, seed, n, shown, feature.near)
    else:
        chosen = choosing.marked_texts(activations, number, seed, n, shown)
    if chosen is None:
        return feature.unscored(f"no {n} fragments of each kind beside those of the explainer")
    rows = np.concatenate([chosen.positive, chosen.negative])
    truth = np.arange(len(rows)) < n

    def pieces(row: int, positive: bool) -> tuple[str, ...]:
        texts = [text.vocabulary[token] for token in text.tokens[row]]
        if kind == "detection":
            return ("".join(texts),)
        if chosen.negatives == "weakest":
            marked = choosing.strongest_tokens(activations[row])
            if not positive:
                marked = choosing.weak_tokens(activations[row], len(marked), number, row, seed)
        else:
            marked = np.flatnonzero(activations[row] > MARKED * maxima[row])
            if not positive:
                marked = choosing.wrong_marks(activations[row], len(marked), number, row, seed)
        return in_pieces(texts, set(marked.tolist()))

    order = choosing.in_random_order(len(rows), number, seed)
    return ClassifiedCase(
        feature=number,
        n_firing_fragments=firing(maxima),
        train=Records(text.tokens[chosen.train], activations[chosen.train]),
        texts=tuple(pieces(int(rows[at]), bool(truth[at])) for at in order),
        truth=truth[order],
        negatives=chosen.negatives,
    )


@dataclass(frozen=True)
class Classification:
    """The judge that tells texts, or marked pieces, apart: `n` of each kind, `per_call` in one question."""

    scorer: Kind
    fragments: Fragments
    n: int
    shown: Shown
    simulator: str
    asked: Asked
    per_call: int
    places = frozenset({"feature", "examples"})
    sources = ("answers",)

    @property
    def digest(self) -> str:
        """See Judge."""
        return self.asked.digest

    def case(self, feature: Feature) -> ClassifiedCase | FeatureScore:
        """See Judge."""
        return classified_case(self.scorer, self.fragments, feature, self.n, self.shown)

    def questions(self, explanation: Explanation, case: ClassifiedCase) -> list[Question]:
        """With probabilities; earlier versions asked without."""
        starts = range(0, len(case.texts), self.per_call)
        return [self._question(quoted(explanation.text), case.texts[at : at + self.per_call]) for at in starts]

    def _question(self, feature: str, texts: Sequence[tuple[str, ...]]) -> Question:
        n, examples = len(texts), listed(texts)

        def request(logprobs: bool) -> Request:
            most, schema = VALUE_TOKENS * n + ROOM, whole_numbers(n, 1)
            return self.asked.chat({"feature": feature, "examples": examples}, most, schema, logprobs)

        def parse(answer: Answer) -> tuple[np.ndarray, np.ndarray | None]:
            return digits_of(answer, n, 1), expected_values(answer, n)

        return Question(request(logprobs=True), parse, older=request(logprobs=False))

    def scores(
        self,
        explanation: Explanation,
        case: ClassifiedCase,
        answers: Sequence[tuple[np.ndarray, np.ndarray | None]],
    ) -> Scores:
        """See Judge."""
        said, expected = zip(*answers, strict=True)
        ranks = None if any(values is None for values in expected) else np.concatenate(expected)
        return {self.sources[0]: classified(case, np.concatenate(said).astype(bool), ranks)}


def classified(
    case: ClassifiedCase,
    said: Bool[np.ndarray, " text"],
    expected: Float[np.ndarray, " text"] | None = None,
) -> JudgedScore:
    """balanced_accuracy = (sensitivity + specificity) / 2; 0.5 is what knowing nothing gives, however one answers.

    sensitivity: share of the texts of the first kind that were called so; specificity: the same for the second kind.
    expected: the expectation of each answer, from probabilities; auc ranks the texts by it.
    """
    sensitivity, specificity = float(said[case.truth].mean()), float((~said[~case.truth]).mean())
    return JudgedScore(
        feature=case.feature,
        status="pred_constant" if len(set(said.tolist())) == 1 else "ok",
        n_firing_fragments=case.n_firing_fragments,
        balanced_accuracy=(sensitivity + specificity) / 2,
        sensitivity=sensitivity,
        specificity=specificity,
        negatives=case.negatives,
        auc=None if expected is None else auc(expected, case.truth),
    )

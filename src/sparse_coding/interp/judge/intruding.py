"""Intruder detection: of five texts four switch a feature on; which is the fifth? No explanation is needed.

After Paulo et al. 2025 and delphi: marked are the tokens on which the feature is active, and as many of the intruder.
Here the intruder's marks stand where those of one of the four stand, so that neither their number nor their pattern
gives it away.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Int

from sparse_coding.interp.cases import Case, Feature, Fragments, firing
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.judge import choosing
from sparse_coding.interp.judge.choosing import BESIDE, Negatives
from sparse_coding.interp.judge.judged import JudgedScore
from sparse_coding.interp.judge.marks import MARKED, in_pieces, listed
from sparse_coding.interp.judge.questions import Asked, Question
from sparse_coding.interp.scores import FeatureScore, Scores
from sparse_coding.llm.answers import LEAST_MASS, Cut, Likely, Unusable, is_cut, is_draft, text_of
from sparse_coding.llm.client import Answer

ROOM = 40  # tokens of the answer, also when it is spread out
_SAID = re.compile(r'"intruder"\s*:\s*"?(\d+)"?(?=[\s,}]|$)', re.ASCII)
_FORM = {
    "type": "object",
    "properties": {"intruder": {"type": "integer", "enum": list(range(BESIDE + 1))}},
    "required": ["intruder"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class IntruderCase(Case):
    """Questions, each of five texts in pieces; places: where the intruders are. Nothing is for an explainer."""

    questions: tuple[tuple[tuple[str, ...], ...], ...]
    places: Int[np.ndarray, " question"]
    negatives: Negatives


def intruder_case(text: Fragments, feature: Feature, n: int) -> IntruderCase | FeatureScore:
    """`n` questions about a feature, or its row where there are too few fragments. Of the null marks are anywhere."""
    tokens, maxima = text.tokens, feature.maxima
    activations = feature.on(slice(None), text.seed)
    chosen = choosing.intruded(maxima, feature.number, text.seed, n, feature.near)
    if chosen is None:
        return feature.unscored(f"no {n} fragments that are intruders among those on which it fires")

    def pieces(row: int, marks: Int[np.ndarray, " marks"]) -> tuple[str, ...]:
        return in_pieces([text.vocabulary[token] for token in tokens[row]], set(marks.tolist()))

    questions = []
    for number, (four, intruder, place) in enumerate(zip(chosen.firing, chosen.intruder, chosen.place, strict=True)):
        marks = [np.flatnonzero(activations[row] > MARKED * maxima[row]) for row in four]
        texts = [pieces(int(row), found) for row, found in zip(four, marks, strict=True)]
        texts.insert(int(place), pieces(int(intruder), marks[number % BESIDE]))
        questions.append(tuple(texts))
    nothing = Records(tokens[:0], activations[:0])
    return IntruderCase(feature.number, firing(maxima), nothing, tuple(questions), chosen.place, chosen.negatives)


@dataclass(frozen=True)
class Intrusion:
    """The judge that finds the text that does not belong, by `n` questions, each a call."""

    fragments: Fragments
    n: int
    simulator: str
    asked: Asked
    places = frozenset({"texts"})
    sources = ("choices",)

    @property
    def digest(self) -> str:
        """See Judge."""
        return self.asked.digest

    def case(self, feature: Feature) -> IntruderCase | FeatureScore:
        """See Judge."""
        return intruder_case(self.fragments, feature, self.n)

    def questions(self, explanation: object, case: IntruderCase) -> list[Question]:
        """See Judge."""
        return [
            Question(
                self.asked.chat({"texts": listed(texts)}, ROOM, _FORM, logprobs=True), partial(found, place=int(place))
            )
            for texts, place in zip(case.questions, case.places, strict=True)
        ]

    def scores(self, explanation: object, case: IntruderCase, answers: Sequence[tuple[int, float | None]]) -> Scores:
        """See Judge."""
        said, shares = zip(*answers, strict=True)
        varied = len(set(case.places.tolist())) > 1  # of one question the answer is always one and the same
        score = JudgedScore(
            feature=case.feature,
            status="pred_constant" if varied and len(set(said)) == 1 else "ok",
            n_firing_fragments=case.n_firing_fragments,
            negatives=case.negatives,
            accuracy=float(np.mean(np.array(said) == case.places)),
            expected_accuracy=None if None in shares else float(np.mean(shares)),
        )
        return {self.sources[0]: score}


def found(answer: Answer, place: int) -> tuple[int, float | None]:
    """Which text was said to be the intruder, and the probability that it is `place`, of that of all five.

    None without probabilities, or where they are hardly about digits. Raises Unusable for an answer that names none,
    Cut where its limit may be why.
    """
    text = text_of(answer)
    matches = list(_SAID.finditer(text))
    if is_cut(answer) and (not matches or is_draft(text, matches[0].start(), matches[-1].end())):
        raise Cut("no intruder in the answer, cut at its longest")
    if len(matches) != 1 or int(matches[0][1]) > BESIDE:
        names = ", ".join(match[1] for match in matches) or "none"
        raise Unusable(f"no intruder from 0 to {BESIDE}: {names[:20]}")
    return int(matches[0][1]), _share(answer, place)


def _share(answer: Answer, place: int) -> float | None:
    likely = Likely.of(answer)
    match = _SAID.search(likely.text, *likely.span)
    if match is None or len(match[1]) != 1:
        return None
    shares = likely.shares_at(match.start(1))
    total = sum(share for digit, share in shares.items() if digit <= BESIDE)
    return shares.get(place, 0.0) / total if total >= LEAST_MASS else None

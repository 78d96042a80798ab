"""Intruder detection: of five texts four switch a feature on; which is the fifth? No explanation is needed.

After Paulo et al. 2025 and delphi: marked are the tokens on which the feature is active, and as many of the intruder.
Here the intruder's marks stand where those of one of the four stand, so that neither their number nor their pattern
gives it away.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp import fragments
from sparse_coding.interp.cases import firing, unscored
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.judge import choosing
from sparse_coding.interp.judge.asking import Asking
from sparse_coding.interp.judge.choosing import BESIDE, Near, Negatives
from sparse_coding.interp.judge.classifying import Known
from sparse_coding.interp.judge.judged import JudgedScore, Scores
from sparse_coding.interp.judge.marks import MARKED, in_pieces, listed
from sparse_coding.interp.judge.prompts import Prompt
from sparse_coding.interp.judge.questions import Style, together
from sparse_coding.interp.scores import FeatureScore
from sparse_coding.llm.answers import LEAST_MASS, Cut, Likely, Unusable, is_cut, is_draft, text_of
from sparse_coding.llm.client import Answer, Client
from sparse_coding.llm.request import Request

ROOM = 40  # tokens of the answer, also when it is spread out
_SAID = re.compile(r'"intruder"\s*:\s*"?(\d+)"?(?=[\s,}]|$)', re.ASCII)
_FORM = {
    "type": "object",
    "properties": {"intruder": {"type": "integer", "enum": list(range(BESIDE + 1))}},
    "required": ["intruder"],
    "additionalProperties": False,
}


@dataclass(frozen=True)
class IntruderCase:
    """A feature and the questions about it, each of five texts in pieces; places: where the intruders are."""

    feature: int
    n_firing_fragments: int
    train: Records  # nothing: nobody explains
    questions: tuple[tuple[tuple[str, ...], ...], ...]
    places: Int[np.ndarray, " question"]
    negatives: Negatives


def intruder_case(
    tokens: Int[np.ndarray, "fragment token"],
    activations: Float[np.ndarray, "fragment token"],
    vocabulary: Sequence[str],
    feature: int,
    seed: int,
    n: int,
    shuffled: bool = False,
    near: Near | None = None,
) -> IntruderCase | FeatureScore:
    """`n` questions about a feature, or its row where there are too few fragments. `shuffled`: marks anywhere."""
    if shuffled:
        activations = fragments.shuffle_positions(activations, feature, seed)
    maxima = activations.max(axis=1)
    chosen = choosing.intruded(maxima, feature, seed, n, near)
    if chosen is None:
        return unscored(feature, maxima, f"no {n} fragments that are intruders among those on which it fires")

    def pieces(row: int, marks: Int[np.ndarray, " marks"]) -> tuple[str, ...]:
        return in_pieces([vocabulary[token] for token in tokens[row]], set(marks.tolist()))

    questions = []
    for number, (four, intruder, place) in enumerate(zip(chosen.firing, chosen.intruder, chosen.place, strict=True)):
        marks = [np.flatnonzero(activations[row] > MARKED * maxima[row]) for row in four]
        texts = [pieces(int(row), found) for row, found in zip(four, marks, strict=True)]
        texts.insert(int(place), pieces(int(intruder), marks[number % BESIDE]))
        questions.append(tuple(texts))
    nothing = Records(tokens[:0], activations[:0])
    return IntruderCase(feature, firing(maxima), nothing, tuple(questions), chosen.place, chosen.negatives)


@dataclass(frozen=True)
class Intruding:
    """A model that looks for intruders, a question a call."""

    prompt: Prompt
    style: Style
    model: str
    places = frozenset({"texts"})
    sources = ("choices",)

    def requests(self, case: IntruderCase) -> list[Request]:
        """All that is asked about one feature."""
        filled = (self.prompt.filled(texts=listed(question)) for question in case.questions)
        return [self.style.chat(self.model, messages, ROOM, _FORM, logprobs=True) for messages in filled]

    async def score(self, client: Client, case: IntruderCase) -> JudgedScore:
        """Hold the answers against the truth. Raises as `usable`."""

        def parse(place: int) -> Callable[[Answer], tuple[int, float | None]]:
            return partial(found, place=place)

        asked = ((request, parse(int(place))) for request, place in zip(self.requests(case), case.places, strict=True))
        said, shares = zip(*await together(client, asked), strict=True)
        varied = len(set(case.places.tolist())) > 1  # of one question the answer is always one and the same
        return JudgedScore(
            feature=case.feature,
            status="pred_constant" if varied and len(set(said)) == 1 else "ok",
            n_firing_fragments=case.n_firing_fragments,
            negatives=case.negatives,
            accuracy=float(np.mean(np.array(said) == case.places)),
            expected_accuracy=None if None in shares else float(np.mean(shares)),
        )


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


@dataclass(frozen=True)
class Intrusion(Asking[Intruding]):
    """Find the text that does not belong."""

    vocabulary: Sequence[str]
    tokens: Int[np.ndarray, "fragment token"]
    seed: int
    examples: int
    simulator: str

    def case(
        self,
        activations: Float[np.ndarray, "fragment token"],
        feature: int,
        shuffled: bool,
        near: Near | None = None,
    ) -> IntruderCase | FeatureScore:
        """See Judge. Nothing is for the explainer."""
        texts = self.tokens, activations, self.vocabulary
        return intruder_case(*texts, feature, self.seed, self.examples, shuffled, near)

    def requests(self, explanation: str, case: IntruderCase, known: Known | None = None) -> list[Request]:
        """See Judge."""
        return self.questions.requests(case)

    async def score(self, client: Client, explanation: str, case: IntruderCase) -> Scores:
        """See Judge."""
        return {self.sources[0]: await self.questions.score(client, case)}

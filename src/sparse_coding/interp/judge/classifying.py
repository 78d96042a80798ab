"""The judge as classifier: can it tell by the explanation which texts, or which marked pieces, switch a feature on?

Detection and fuzzing, after Paulo et al. 2024, with their gaps closed: no text that is asked about was shown to the
explainer, both kinds are equally many, and in fuzzing they differ in their marks alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from sparse_coding.interp import fragments
from sparse_coding.interp.cases import firing, unscored
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.judge import choosing
from sparse_coding.interp.judge.choosing import ORIGINAL, Near, Negatives, Shown
from sparse_coding.interp.judge.judged import JudgedScore
from sparse_coding.interp.judge.marks import MARKED, in_pieces, listed
from sparse_coding.interp.judge.prompts import Prompt, quoted
from sparse_coding.interp.judge.questions import Style, together, whole_numbers
from sparse_coding.interp.judge.ranking import auc
from sparse_coding.interp.judge.simulating import ROOM, VALUE_TOKENS
from sparse_coding.interp.scores import FeatureScore
from sparse_coding.llm.answers import digits_of, expected_values
from sparse_coding.llm.client import Answer, Client
from sparse_coding.llm.request import Request

Kind = Literal["detection", "fuzzing"]
Known = Callable[[Request], Answer | None]


@dataclass(frozen=True)
class ClassifiedCase:
    """A feature and the texts to be told apart, in the order in which they are asked about."""

    feature: int
    n_firing_fragments: int
    train: Records
    texts: tuple[tuple[str, ...], ...]  # pieces: outside a mark, inside, outside, ...
    truth: Bool[np.ndarray, " text"]
    negatives: Negatives = "silent"


def classified_case(
    kind: Kind,
    tokens: Int[np.ndarray, "fragment token"],
    activations: Float[np.ndarray, "fragment token"],
    vocabulary: Sequence[str],
    feature: int,
    seed: int,
    n: int,
    shuffled: bool = False,
    shown: Shown = ORIGINAL,
    near: Near | None = None,
) -> ClassifiedCase | FeatureScore:
    """`n` texts of each kind for a feature, or its row where there are too few.

    detection: the feature fires in them, or does not. fuzzing: it fires in all; marked are the tokens on which it is
    above MARKED of its highest there, or as many on which it is silent. Where a feature is hardly ever silent, and for
    `near`, see interp.judge.choosing. `shuffled` is the null, as for simulations.
    """
    if shuffled:
        activations = fragments.shuffle_positions(activations, feature, seed)
    maxima = activations.max(axis=1)
    if kind == "detection":
        chosen = choosing.whole_texts(maxima, feature, seed, n, shown, near)
    else:
        chosen = choosing.marked_texts(activations, feature, seed, n, shown)
    if chosen is None:
        return unscored(feature, maxima, f"no {n} fragments of each kind beside those of the explainer")
    rows = np.concatenate([chosen.positive, chosen.negative])
    truth = np.arange(len(rows)) < n

    def pieces(row: int, positive: bool) -> tuple[str, ...]:
        texts = [vocabulary[token] for token in tokens[row]]
        if kind == "detection":
            return ("".join(texts),)
        if chosen.negatives == "weakest":
            marked = choosing.strongest_tokens(activations[row])
            if not positive:
                marked = choosing.weak_tokens(activations[row], len(marked), feature, row, seed)
        else:
            marked = np.flatnonzero(activations[row] > MARKED * maxima[row])
            if not positive:
                marked = fragments.wrong_marks(activations[row], len(marked), feature, row, seed)
        return in_pieces(texts, set(marked.tolist()))

    order = fragments.in_random_order(len(rows), feature, seed)
    return ClassifiedCase(
        feature=feature,
        n_firing_fragments=firing(maxima),
        train=Records(tokens[chosen.train], activations[chosen.train]),
        texts=tuple(pieces(int(rows[at]), bool(truth[at])) for at in order),
        truth=truth[order],
        negatives=chosen.negatives,
    )


@dataclass(frozen=True)
class Classifying:
    """A model that tells texts apart, `per_call` in one question."""

    prompt: Prompt
    style: Style
    model: str
    per_call: int
    places = frozenset({"feature", "examples"})
    sources = ("answers",)

    def requests(self, explanation: str, case: ClassifiedCase, known: Known | None = None) -> list[Request]:
        """All that is asked about one feature, with probabilities.

        known: kept answers. Where one is kept of the same question without probabilities, as earlier versions asked,
        that question stands here: nothing is paid for twice.
        """
        feature = quoted(explanation)
        return [self._request(feature, part, known) for part in self._parts(case)]

    def _request(self, feature: str, part: Sequence[tuple[str, ...]], known: Known | None) -> Request:
        messages = self.prompt.filled(feature=feature, examples=listed(part))
        asked = self.model, messages, VALUE_TOKENS * len(part) + ROOM, whole_numbers(len(part), 1)
        best = self.style.chat(*asked, logprobs=True)
        if known is None or not self.style.logprobs or known(best) is not None:
            return best
        plain = self.style.chat(*asked)
        return best if known(plain) is None else plain

    async def score(self, client: Client, explanation: str, case: ClassifiedCase) -> JudgedScore:
        """Hold the answers against the truth. Raises as `usable`."""

        def parse(n: int) -> Callable[[Answer], tuple[np.ndarray, np.ndarray | None]]:
            return lambda answer: (digits_of(answer, n, 1), expected_values(answer, n))

        requests = self.requests(explanation, case, client.known)
        asked = ((request, parse(len(part))) for request, part in zip(requests, self._parts(case), strict=True))
        said, expected = zip(*await together(client, asked), strict=True)
        ranks = None if any(values is None for values in expected) else np.concatenate(expected)
        return classified(case, np.concatenate(said).astype(bool), explanation, ranks)

    def _parts(self, case: ClassifiedCase) -> list[tuple[tuple[str, ...], ...]]:
        return [case.texts[start : start + self.per_call] for start in range(0, len(case.texts), self.per_call)]


def classified(
    case: ClassifiedCase,
    said: Bool[np.ndarray, " text"],
    explanation: str,
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
        explanation=explanation,
        balanced_accuracy=(sensitivity + specificity) / 2,
        sensitivity=sensitivity,
        specificity=specificity,
        negatives=case.negatives,
        auc=None if expected is None else auc(expected, case.truth),
    )

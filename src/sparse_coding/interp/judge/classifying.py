"""The judge as classifier: can it tell by the explanation which texts, or which marked pieces, switch a feature on?

Detection and fuzzing, after Paulo et al. 2024, with their gaps closed: no text that is asked about was shown to the
explainer, both kinds are equally many, and in fuzzing they differ in their marks alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from sparse_coding.interp import fragments
from sparse_coding.interp.cases import firing, unscored
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.judge.prompts import Prompt, quoted
from sparse_coding.interp.judge.questions import Style, together, whole_numbers
from sparse_coding.interp.judge.simulating import ROOM, VALUE_TOKENS
from sparse_coding.interp.scores import FeatureScore
from sparse_coding.llm.answers import digits_of
from sparse_coding.llm.client import Client
from sparse_coding.llm.request import Request

MARKED = 0.3  # share of a fragment's highest activation, above which a token is marked
OPEN, CLOSE = "<<", ">>"

Kind = Literal["detection", "fuzzing"]


@dataclass(frozen=True)
class ClassifiedCase:
    """A feature and the texts to be told apart, in the order in which they are asked about."""

    feature: int
    n_firing_fragments: int
    train: Records
    texts: tuple[tuple[str, ...], ...]  # pieces: outside a mark, inside, outside, ...
    truth: Bool[np.ndarray, " text"]


def classified_case(
    kind: Kind,
    tokens: Int[np.ndarray, "fragment token"],
    activations: Float[np.ndarray, "fragment token"],
    vocabulary: Sequence[str],
    feature: int,
    seed: int,
    n: int,
    shuffled: bool = False,
) -> ClassifiedCase | FeatureScore:
    """`n` texts of each kind for a feature, or its row where there are too few.

    detection: the feature fires in them, or does not. fuzzing: it fires in all; marked are the tokens on which it is
    above MARKED of its highest there, or as many on which it is silent. `shuffled` is the null, as for simulations.
    """
    if shuffled:
        activations = fragments.shuffle_positions(activations, feature, seed)
    maxima = activations.max(axis=1)
    if kind == "detection":
        chosen = fragments.select_silent(maxima, feature, seed, n)
    else:
        chosen = fragments.select_firing(maxima, activations.min(axis=1), feature, seed, n)
    if chosen is None:
        return unscored(feature, maxima, f"no {n} fragments of each kind beside those of the explainer")
    rows = np.concatenate([chosen.positive, chosen.negative])
    truth = np.arange(len(rows)) < n

    def pieces(row: int, positive: bool) -> tuple[str, ...]:
        texts = [vocabulary[token] for token in tokens[row]]
        if kind == "detection":
            return ("".join(texts),)
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
    )


def in_pieces(texts: Sequence[str], marked: set[int]) -> tuple[str, ...]:
    """The text, cut where a run of marked tokens begins and ends; every second piece is marked."""
    pieces = [""]
    for place, text in enumerate(texts):
        if (place in marked) != (len(pieces) % 2 == 0):
            pieces.append("")
        pieces[-1] += text
    return tuple(pieces)


@dataclass(frozen=True)
class Classifying:
    """A model that tells texts apart, `per_call` in one question."""

    prompt: Prompt
    style: Style
    model: str
    per_call: int
    places = frozenset({"feature", "examples"})
    sources = ("answers",)

    def requests(self, explanation: str, case: ClassifiedCase) -> list[Request]:
        """All that is asked about one feature."""
        feature = quoted(explanation)
        return [
            self.style.chat(
                self.model,
                self.prompt.filled(feature=feature, examples=_listed(part)),
                VALUE_TOKENS * len(part) + ROOM,
                whole_numbers(len(part), 1),
            )
            for part in self._parts(case)
        ]

    async def score(self, client: Client, explanation: str, case: ClassifiedCase) -> FeatureScore:
        """Hold the answers against the truth. Raises as `usable`."""
        asked = (
            (request, partial(digits_of, n=len(part), highest=1))
            for request, part in zip(self.requests(explanation, case), self._parts(case), strict=True)
        )
        return classified(case, np.concatenate(await together(client, asked)).astype(bool), explanation)

    def _parts(self, case: ClassifiedCase) -> list[tuple[tuple[str, ...], ...]]:
        return [case.texts[start : start + self.per_call] for start in range(0, len(case.texts), self.per_call)]


def classified(case: ClassifiedCase, said: Bool[np.ndarray, " text"], explanation: str) -> FeatureScore:
    """balanced_accuracy = (sensitivity + specificity) / 2; 0.5 is what knowing nothing gives, however one answers.

    sensitivity: share of the texts of the first kind that were called so; specificity: the same for the second kind.
    """
    sensitivity, specificity = float(said[case.truth].mean()), float((~said[~case.truth]).mean())
    return FeatureScore(
        feature=case.feature,
        status="pred_constant" if len(set(said.tolist())) == 1 else "ok",
        n_firing_fragments=case.n_firing_fragments,
        explanation=explanation,
        balanced_accuracy=(sensitivity + specificity) / 2,
        sensitivity=sensitivity,
        specificity=specificity,
    )


def _listed(texts: Sequence[tuple[str, ...]]) -> str:
    """Numbered JSON strings; the marks are put in after quoting, so that no text can hold one."""
    return "\n".join(f"{number}: {_with_marks(pieces)}" for number, pieces in enumerate(texts))


def _with_marks(pieces: tuple[str, ...]) -> str:
    if len(pieces) == 1:
        return quoted(pieces[0])
    # A sign at the edge of a piece would run into the mark.
    inner = [quoted(piece)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e") for piece in pieces]
    return '"' + "".join(f"{OPEN}{text}{CLOSE}" if place % 2 else text for place, text in enumerate(inner)) + '"'

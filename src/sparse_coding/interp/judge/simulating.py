"""The judge as simulator: from an explanation to the activation that it lets one expect on each token.

Three ways to ask. Their scores are not comparable: each is a source of its own in the table.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp.explainers import Explanation
from sparse_coding.interp.judge.prompts import numbered, quoted
from sparse_coding.interp.judge.questions import Asked, Question, whole_numbers
from sparse_coding.interp.simulation import Predictions
from sparse_coding.llm.answers import (
    LEAST_MASS,
    Likely,
    Unusable,
    choice_of,
    digit_mass,
    digits_of,
    expected_digit,
    expected_values,
    list_of,
    object_of,
    text_of,
)
from sparse_coding.llm.client import Answer

HIGHEST = 9  # one digit is one token for every tokenizer; "10" is not, and a correlation knows no scale
VALUE_TOKENS, ROOM = 8, 32  # most tokens of `"63":9,`, also when it is spread out; around the object
UNKNOWN = "unknown"
NO_PROBABILITIES, FEW_DIGITS = "no probabilities in the answers", "probabilities that are hardly about digits"


@dataclass(frozen=True)
class _Simulator:
    """What the three have in common: whom they ask, and what the numbers of tokens mean."""

    asked: Asked
    vocabulary: Sequence[str]

    @property
    def digest(self) -> str:
        """See Simulator."""
        return self.asked.digest

    def texts(self, tokens: Int[np.ndarray, " token"]) -> list[str]:
        """Of the tokens of a fragment."""
        return [self.vocabulary[token] for token in tokens]


class _Written(_Simulator):
    """A model that writes digits."""

    @property
    def sources(self) -> tuple[str, ...]:
        """Expected values where probabilities are asked for, and always what the model wrote."""
        return ("logprob_ev", "sampled") if self.asked.style.logprobs else ("sampled",)

    def by_source(self, rows: Iterable[tuple[np.ndarray, np.ndarray | str]]) -> Predictions:
        """rows: of each fragment, what was written and what was expected, or why that is not known."""
        written, expected = zip(*rows, strict=True)
        found: Predictions = {"sampled": np.stack(written)}
        why = next((row for row in expected if isinstance(row, str)), None)
        found["logprob_ev"] = np.stack(expected) if why is None else why
        return {source: found[source] for source in self.sources}


class Chat(_Written):
    """A call a fragment: the tokens as a numbered list, the answer an object with a digit for each."""

    name, file, places = "chat", "simulate", frozenset({"feature", "tokens"})

    def questions(self, explanation: Explanation, tokens: Int[np.ndarray, "fragment token"]) -> list[Question]:
        """One a fragment."""
        n = tokens.shape[1]
        feature, most, schema = quoted(explanation.text), VALUE_TOKENS * n + ROOM, whole_numbers(n, HIGHEST)

        def parse(answer: Answer) -> tuple[np.ndarray, np.ndarray | str]:
            written, expected = digits_of(answer, n, HIGHEST).astype(float), expected_values(answer, n)
            if expected is not None:
                return written, expected
            mass = digit_mass(answer, n)
            return written, NO_PROBABILITIES if mass is None else _little(mass)

        lists = (numbered(self.texts(row)) for row in tokens)
        return [
            Question(self.asked.chat({"feature": feature, "tokens": each}, most, schema, logprobs=True), parse)
            for each in lists
        ]

    def predictions(
        self,
        explanation: Explanation,
        tokens: Int[np.ndarray, "fragment token"],
        answers: Sequence[tuple[np.ndarray, np.ndarray | str]],
    ) -> Predictions:
        """See Simulator: 0 to 9."""
        return self.by_source(answers)


class PerToken(_Written):
    """A call a token: it sees what stands before the token and answers with one digit."""

    name, file, places = "per_token", "per_token", frozenset({"feature", "before", "token"})

    def questions(self, explanation: Explanation, tokens: Int[np.ndarray, "fragment token"]) -> list[Question]:
        """One a token, fragment by fragment."""
        feature = quoted(explanation.text)

        def question(before: Sequence[str], text: str) -> Question:
            values = {"feature": feature, "before": quoted("".join(before)), "token": quoted(text)}
            return Question(self.asked.chat(values, 1, logprobs=True), _one_digit)

        rows = map(self.texts, tokens)
        return [question(texts[:at], text) for texts in rows for at, text in enumerate(texts)]

    def predictions(
        self,
        explanation: Explanation,
        tokens: Int[np.ndarray, "fragment token"],
        answers: Sequence[tuple[float, float, float]],
    ) -> Predictions:
        """See Simulator: 0 to 9."""
        values = np.array(answers, np.float64).reshape(*tokens.shape, 3)
        masses = values[:, :, 2]
        why = _little(float(np.median(masses))) if np.isfinite(masses).all() else NO_PROBABILITIES
        return self.by_source((row[:, 0], row[:, 1] if np.isfinite(row[:, 1]).all() else why) for row in values)


class Echo(_Simulator):
    """A call a fragment, for servers that echo a prompt with probabilities (vLLM), as in Bills et al. 2023.

    Every token is followed by `unknown`; nothing is generated. What the model would have put there tells the value.
    """

    name, file, places = "echo", "echo", frozenset({"feature", "tokens"})
    sources = ("echo",)

    def questions(self, explanation: Explanation, tokens: Int[np.ndarray, "fragment token"]) -> list[Question]:
        """One a fragment."""
        feature, found = quoted(explanation.text), []
        for row in tokens:
            lines = "\n".join(f"{quoted(text)}\t{UNKNOWN}" for text in self.texts(row))
            prompt = self.asked.prompt.filled(feature=feature, tokens=lines)[0]["content"]
            parse = partial(values_at, places=unknown_places(prompt, len(row)))
            found.append(Question(self.asked.style.echo(self.asked.model, prompt), parse))
        return found

    def predictions(
        self, explanation: Explanation, tokens: Int[np.ndarray, "fragment token"], answers: Sequence[np.ndarray]
    ) -> Predictions:
        """See Simulator: 0 to 9."""
        return {"echo": np.stack(answers)}


def unknown_places(prompt: str, n: int) -> list[int]:
    """Where the last `n` values begin in the prompt, in letters."""
    places, start = [], len(prompt)
    for _ in range(n):
        start = prompt.rindex(f"\t{UNKNOWN}", 0, start)
        places.append(start + 1)
    return places[::-1]


def values_at(answer: Answer, places: Sequence[int]) -> Float[np.ndarray, " place"]:
    """The expected digit at each place of an echoed prompt, whatever the judge's tokenizer made of it.

    Raises Unusable where there are no probabilities, or hardly any of digits.
    """
    found = object_of(choice_of(answer).get("logprobs"))
    tokens, likely = [str(token) for token in list_of(found.get("tokens"))], list_of(found.get("top_logprobs"))
    if len(tokens) != len(likely) or not tokens:
        raise Unusable("an echo without probabilities: is the server one that has them (vLLM)?")
    ends = list(accumulate(map(len, tokens)))
    values, masses = [], []
    for place in places:
        index = int(np.searchsorted(ends, place, side="right"))
        if index >= len(tokens):
            raise Unusable("an echo that is shorter than the prompt")
        # The token may begin before the value, with the tab; a value ends with the token.
        begins = place - (ends[index] - len(tokens[index]))
        value, mass = expected_digit(object_of(likely[index]), tokens[index][: begins + 1], begins)
        values.append(value)
        masses.append(mass)
    if not np.isfinite(values).all() or np.median(masses) < LEAST_MASS:
        raise Unusable(f"probabilities of {np.median(masses):.2f} for digits (median); wanted {LEAST_MASS}")
    return np.array(values)


def _one_digit(answer: Answer) -> tuple[float, float, float]:
    """The digit that was written, the expected one, and the probability of digits (both NaN without probabilities)."""
    text = text_of(answer).strip()
    if len(text) != 1 or text not in "0123456789":
        raise Unusable(f"no digit: {text[:20]!r}")
    likely = Likely.of(answer)
    start, end = likely.span
    if likely.text[start:end].strip() != text:
        return float(text), np.nan, np.nan
    value, mass, came = likely.digit_at(likely.text.index(text, start))
    return float(text), value if mass >= LEAST_MASS else np.nan, mass if came else np.nan


def _little(mass: float) -> str:
    found = f"{mass:.2f} for them (median); wanted {LEAST_MASS}" if mass < LEAST_MASS else "those of some of the values"
    return f"{FEW_DIGITS}: {found}"

"""The judge as simulator: from an explanation to the activation that it lets one expect on each token.

Three ways to ask. Their scores are not comparable: each is a source of its own in the table.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp.judge.prompts import Prompt, numbered, quoted
from sparse_coding.interp.judge.questions import Style, together, whole_numbers
from sparse_coding.io.judged import FEW_DIGITS, NO_PROBABILITIES
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
from sparse_coding.llm.client import Answer, Client
from sparse_coding.llm.request import Request

HIGHEST = 9  # one digit is one token for every tokenizer; "10" is not, and a correlation knows no scale
VALUE_TOKENS, ROOM = 8, 32  # most tokens of `"63":9,`, also when it is spread out; around the object
UNKNOWN = "unknown"

Values = Float[np.ndarray, "fragment token"]
Predictions = dict[str, Values | str]  # by source; a text: why there are none


@runtime_checkable
class Simulating(Protocol):
    """A way to ask."""

    @property
    def sources(self) -> tuple[str, ...]:
        """What its predictions are made of, the best first."""
        ...

    @property
    def prompt(self) -> Prompt:
        """Its words."""
        ...

    def requests(self, explanation: str, tokens: Int[np.ndarray, "fragment token"]) -> list[Request]:
        """All that is asked about one feature."""
        ...

    async def predict(self, client: Client, explanation: str, tokens: Int[np.ndarray, "fragment token"]) -> Predictions:
        """The expected activation on each token, 0 to 9, by source. Raises as `usable`."""
        ...


@dataclass(frozen=True)
class Chat:
    """A call a fragment: the tokens as a numbered list, the answer an object with a digit for each."""

    prompt: Prompt
    style: Style
    model: str
    vocabulary: Sequence[str]
    places = frozenset({"feature", "tokens"})

    @property
    def sources(self) -> tuple[str, ...]:
        """Expected values where probabilities are asked for, and always what the model wrote."""
        return ("logprob_ev", "sampled") if self.style.logprobs else ("sampled",)

    def requests(self, explanation: str, tokens: Int[np.ndarray, "fragment token"]) -> list[Request]:
        """One a fragment."""
        n = tokens.shape[1]
        schema = whole_numbers(n, HIGHEST)
        return [
            self.style.chat(
                self.model,
                self.prompt.filled(feature=quoted(explanation), tokens=numbered(_texts(self.vocabulary, row))),
                VALUE_TOKENS * n + ROOM,
                schema,
                logprobs=True,
            )
            for row in tokens
        ]

    async def predict(self, client: Client, explanation: str, tokens: Int[np.ndarray, "fragment token"]) -> Predictions:
        """See Simulating."""
        n = tokens.shape[1]

        def parse(answer: Answer) -> tuple[np.ndarray, np.ndarray | str]:
            written, expected = digits_of(answer, n, HIGHEST).astype(float), expected_values(answer, n)
            if expected is not None:
                return written, expected
            mass = digit_mass(answer, n)
            return written, NO_PROBABILITIES if mass is None else _little(mass)

        asked = ((request, parse) for request in self.requests(explanation, tokens))
        return _by_source(self.sources, await together(client, asked))


@dataclass(frozen=True)
class PerToken:
    """A call a token: it sees what stands before the token and answers with one digit."""

    prompt: Prompt
    style: Style
    model: str
    vocabulary: Sequence[str]
    places = frozenset({"feature", "before", "token"})

    @property
    def sources(self) -> tuple[str, ...]:
        """As Chat."""
        return ("logprob_ev", "sampled") if self.style.logprobs else ("sampled",)

    def requests(self, explanation: str, tokens: Int[np.ndarray, "fragment token"]) -> list[Request]:
        """One a token, fragment by fragment."""
        feature = quoted(explanation)
        return [
            self.style.chat(
                self.model,
                self.prompt.filled(feature=feature, before=quoted("".join(texts[:at])), token=quoted(text)),
                1,
                logprobs=True,
            )
            for row in tokens
            for texts in [_texts(self.vocabulary, row)]
            for at, text in enumerate(texts)
        ]

    async def predict(self, client: Client, explanation: str, tokens: Int[np.ndarray, "fragment token"]) -> Predictions:
        """See Simulating."""
        asked = ((request, _one_digit) for request in self.requests(explanation, tokens))
        values = np.array(await together(client, asked), np.float64).reshape(*tokens.shape, 3)
        came, masses = np.isfinite(values[:, :, 2]).all(), values[:, :, 2]
        why = _little(float(np.median(masses))) if came else NO_PROBABILITIES
        rows = [(row[:, 0], row[:, 1] if np.isfinite(row[:, 1]).all() else why) for row in values]
        return _by_source(self.sources, rows)


@dataclass(frozen=True)
class Echo:
    """A call a fragment, for servers that echo a prompt with probabilities (vLLM), as in Bills et al. 2023.

    Every token is followed by `unknown`; nothing is generated. What the model would have put there tells the value.
    """

    prompt: Prompt
    style: Style
    model: str
    vocabulary: Sequence[str]
    places = frozenset({"feature", "tokens"})
    sources: tuple[str, ...] = ("echo",)

    def requests(self, explanation: str, tokens: Int[np.ndarray, "fragment token"]) -> list[Request]:
        """One a fragment."""
        feature = quoted(explanation)
        filled = (self.prompt.filled(feature=feature, tokens=self._lines(row)) for row in tokens)
        return [self.style.echo(self.model, messages[0]["content"]) for messages in filled]

    async def predict(self, client: Client, explanation: str, tokens: Int[np.ndarray, "fragment token"]) -> Predictions:
        """See Simulating."""

        def parse(request: Request) -> Callable[[Answer], np.ndarray]:
            return partial(values_at, places=unknown_places(request.body["prompt"], tokens.shape[1]))

        asked = ((request, parse(request)) for request in self.requests(explanation, tokens))
        rows = await together(client, asked)
        return {"echo": np.stack(rows)}

    def _lines(self, tokens: Int[np.ndarray, " token"]) -> str:
        return "\n".join(f"{quoted(text)}\t{UNKNOWN}" for text in _texts(self.vocabulary, tokens))


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


def _texts(vocabulary: Sequence[str], tokens: Int[np.ndarray, " token"]) -> list[str]:
    return [vocabulary[token] for token in tokens]


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


def _by_source(sources: tuple[str, ...], rows: Iterable[tuple[np.ndarray, np.ndarray | str]]) -> Predictions:
    written, expected = zip(*rows, strict=True)
    found: Predictions = {"sampled": np.stack(written)}
    why = next((row for row in expected if isinstance(row, str)), None)
    found["logprob_ev"] = np.stack(expected) if why is None else why
    return {source: found[source] for source in sources}

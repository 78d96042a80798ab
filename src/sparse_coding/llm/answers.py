"""What an answer says. It is judged by itself alone: servers may ignore what was asked of them."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.llm.client import Answer
from sparse_coding.llm.thoughts import answer_span

LEAST_MASS = 0.5  # median probability of digits, below which probabilities are not those of an answer
SHOWN = 80  # letters of an answer in a reason
_PAIR = re.compile(r'"(\d+)"\s*:\s*"?(-?\d+(?:\.\d+)?)"?(?=[\s,}]|$)', re.ASCII)
# What somebody says who refuses, and not what is said about such words: `"sorry", "I can't" and other excuses`.
_REFUSAL = re.compile(
    r"(unfortunately,? )?((i['’]?m|i am) )?((very|so) )?sorry([,.;:!]+ (but )?| but )(i|we|this|that|there|the|no)\b"
    r"|(unfortunately,? )?(i['’]?m|i am) (unable|not able) to (?!and\b|or\b)\w"
    r"|(unfortunately,? )?i (can['’]?t|cannot|won['’]?t) (?!and\b|or\b)\w"
    r"|unable to (determine|identify|find|provide|help|assist|explain)\b"
    r"|as an ai\b[\w ]*,? (i|my)\b",
    re.I,
)
_LEAD_IN = re.compile(r"^[\s*_`]*(the )?(explanation|feature)[*_]*\s*:[\s*_`]*", re.I)
_WORD = re.compile(r"(?!json\b)\b\w+")  # but for the name of a fence
_WRAPPED = re.compile(r"(?P<sign>[\"'`*]+)([^\"`*]+)(?P=sign)")


class Unusable(Exception):
    """An answer that says nothing that can be scored; asking again may help."""


class Cut(Unusable):
    """An answer that the limit of its length cut; asking again with more room may help."""


def text_of(answer: Answer) -> str:
    """The words of a chat's answer, without thoughts and marks of a template (`thoughts.answer_span`).

    Raises Unusable for one that is empty, refused, withheld or nothing but thoughts, Cut where its limit may be why.
    """
    choice = choice_of(answer)
    message = object_of(choice.get("message"))
    if message.get("refusal"):
        raise Unusable(f"refused: {_short(str(message['refusal']))}")
    if choice.get("finish_reason") == "content_filter":
        raise Unusable("withheld by a content filter")
    text = _content(message)
    span = answer_span(text)
    said = text[slice(*span)] if span is not None else ""
    if not said.strip():
        reason = f"nothing but thoughts: {_short(text)}" if text.strip() else "empty answer"
        if is_cut(answer):
            raise Cut(f"{reason} (cut at its longest: thoughts may need reasoning_tokens)")
        raise Unusable(reason)
    return said.encode(errors="replace").decode()  # halves of surrogate pairs can be sent and stored nowhere


def _content(message: Mapping[str, Any]) -> str:
    """The text; some servers send it in parts, thoughts being parts of another type."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = [object_of(part) for part in list_of(content)]
    return "".join(str(part.get("text") or "") for part in parts if part.get("type") == "text")


def sentence_of(answer: Answer) -> str:
    """An explanation: one line.

    Raises Unusable as `text_of`, and where the words are those of a refusal; Cut where the end is missing.
    """
    text = " ".join(_LEAD_IN.sub("", text_of(answer)).split())
    if is_cut(answer):
        raise Cut(f"cut at its longest: {_short(text)}")
    wrapped = _WRAPPED.fullmatch(text)
    text = wrapped[2].strip() if wrapped else text
    if _REFUSAL.match(text):
        raise Unusable(f"refused: {_short(text)}")
    if not text:
        raise Unusable("empty answer")
    return text


def digits_of(answer: Answer, n: int, highest: int = 9) -> Int[np.ndarray, " n"]:
    """The values of an object {"0": d, ..., "n-1": d}, each a whole number from 0 to `highest`.

    Found in whatever stands around it. Raises Unusable for missing, repeated, foreign or impossible values; Cut where
    some are missing and the limit of the length may be why, or where the answer was cut and they may be a draft.
    """
    text = text_of(answer)
    matches = list(_PAIR.finditer(text))
    pairs = [(match[1], match[2]) for match in matches]
    found = dict(pairs)
    if is_cut(answer) and (len(found) < n or is_draft(text, matches[0].start(), matches[-1].end())):
        raise Cut(f"{len(found)} values of {n}, cut at its longest")
    if not pairs:
        raise Unusable(f"no values: {_short(text)}")
    if len(pairs) != n or any(str(key) not in found for key in range(n)):
        raise Unusable(f"{len(found)} keys in {len(pairs)} values of {n}, the last {_short(pairs[-1][0])}")
    allowed = {str(value) for value in range(highest + 1)}
    wrong = [value for value in found.values() if value not in allowed]
    if wrong:
        raise Unusable(f"a value of {_short(wrong[0])}; wanted 0 to {highest}")
    return np.array([int(found[str(key)]) for key in range(n)], np.int64)


def expected_values(answer: Answer, n: int) -> Float[np.ndarray, " n"] | None:
    """The same values as expectations, sum(k p_k) / sum(p_k) over the digits k among the likeliest tokens.

    None where the answer has no probabilities for all of them, or where they are hardly about digits (the median of
    sum(p_k) is below LEAST_MASS).
    """
    values, masses, _ = _expected(answer, n)
    return values if np.isfinite(values).all() and np.median(masses) >= LEAST_MASS else None


def digit_mass(answer: Answer, n: int) -> float | None:
    """The median of sum(p_k) over the same values; None where there are no probabilities at all of them."""
    _, masses, came = _expected(answer, n)
    return float(np.median(masses)) if came.all() else None


def _expected(answer: Answer, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each value the expected one, the probability of digits, and whether there were probabilities."""
    likely = Likely.of(answer)
    values, masses, came = np.full(n, np.nan), np.zeros(n), np.zeros(n, bool)
    keys = {str(key): key for key in range(n)}
    for match in _PAIR.finditer(likely.text, *likely.span):
        key = keys.get(match[1])
        if key is not None and len(match[2]) == 1:
            values[key], masses[key], came[key] = likely.digit_at(match.start(2))
    return values, masses, came


@dataclass(frozen=True)
class Likely:
    """The tokens that were written, with what else was likely; span: of the answer in `text`, as for `text_of`."""

    text: str
    span: tuple[int, int]
    tokens: list[str]
    top: list[Any]

    @classmethod
    def of(cls, answer: Answer) -> "Likely":
        """Of a chat's answer; empty where there are no probabilities."""
        listed = list_of(object_of(choice_of(answer).get("logprobs")).get("content"))
        entries = [object_of(token) for token in listed]
        tokens = [str(token.get("token", "")) for token in entries]
        text = "".join(tokens)
        # Not by the places of `content`: a server may have taken the thoughts out of that alone.
        return cls(
            text, answer_span(text) or (len(text), len(text)), tokens, [it.get("top_logprobs") for it in entries]
        )

    def digit_at(self, place: int) -> tuple[float, float, bool]:
        """The expected digit at a place of the text, the probability of digits, and whether anything was listed."""
        likely, token, inside = self._listed_at(place)
        return *expected_digit(likely, token, inside), bool(likely)

    def shares_at(self, place: int) -> dict[int, float]:
        """The probability of each digit at a place of the text."""
        return digit_shares(*self._listed_at(place))

    def _listed_at(self, place: int) -> tuple[dict[str, Any], str, int]:
        """What was likely there, the token that was written, and how far into it the place is."""
        ends = list(accumulate(map(len, self.tokens)))
        at = int(np.searchsorted(ends, place, side="right"))
        listed = [object_of(each) for each in list_of(self.top[at])]
        likely = {str(each.get("token")): each.get("logprob") for each in listed}
        return likely, self.tokens[at], place - (ends[at] - len(self.tokens[at]))


def expected_digit(likely: Mapping[Any, Any], token: str, place: int) -> tuple[float, float]:
    """The expected digit, and the probability of digits; NaN and 0 without any. See `digit_shares`."""
    shares = digit_shares(likely, token, place)
    total = sum(shares.values())
    return (sum(digit * share for digit, share in shares.items()) / total, total) if total > 0 else (math.nan, 0.0)


def digit_shares(likely: Mapping[Any, Any], token: str, place: int) -> dict[int, float]:
    """The probability of each digit that is among the likeliest tokens.

    likely: token -> log probability. `token` is the one that was chosen, its digit at `place`; others count where
    they differ from it in that digit alone, or are a bare digit.
    """
    before, after = token[:place], token[place + 1 :]
    shares: dict[int, float] = {}
    for text, logprob in likely.items():
        if not isinstance(text, str) or not isinstance(logprob, int | float) or not -1e9 < logprob <= 1:  # they round
            continue
        digit = text[len(before) : len(text) - len(after)] if text.startswith(before) and text.endswith(after) else ""
        digit = digit if len(digit) == 1 else text.strip()
        if len(digit) == 1 and digit in "0123456789":
            shares[int(digit)] = shares.get(int(digit), 0.0) + math.exp(logprob)
    return shares


def choice_of(answer: Answer) -> dict[str, Any]:
    """The first choice. Raises Unusable where there is none."""
    choices = list_of(answer.get("choices"))
    if not choices or not isinstance(choices[0], dict):
        raise Unusable("no choices")
    return choices[0]


def object_of(value: Any) -> dict[str, Any]:
    """`value` where it is an object, an empty one where a server sent something else."""
    return value if isinstance(value, dict) else {}


def list_of(value: Any) -> list[Any]:
    """`value` where it is a list, an empty one where a server sent something else."""
    return value if isinstance(value, list) else []


def is_cut(answer: Answer) -> bool:
    """Whether the limit of its length ended it."""
    return choice_of(answer).get("finish_reason") == "length"


def is_draft(text: str, start: int, end: int) -> bool:
    """Whether words stand on both sides of what was said from `start` to `end`.

    Some models think without a mark before their thoughts: cut, these may hold values that are not the last.
    """
    return all(_WORD.search(side) for side in (text[:start], text[end:]))


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else flat[:SHOWN] + "…"

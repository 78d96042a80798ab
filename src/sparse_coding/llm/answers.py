"""What an answer says. It is judged by itself alone: servers may ignore what was asked of them."""

import math
import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.llm.client import Answer

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
_WRAPPED = re.compile(r"(?P<sign>[\"'`*]+)([^\"`*]+)(?P=sign)")


class Unusable(Exception):
    """An answer that says nothing that can be scored; asking again may help."""


def text_of(answer: Answer) -> str:
    """The words of a chat's answer. Raises Unusable for one that is empty, refused or withheld."""
    choice = choice_of(answer)
    message = object_of(choice.get("message"))
    if message.get("refusal"):
        raise Unusable(f"refused: {_short(str(message['refusal']))}")
    if choice.get("finish_reason") == "content_filter":
        raise Unusable("withheld by a content filter")
    text = message.get("content")
    if not isinstance(text, str) or not text.strip():
        cut = " (cut at its longest: thoughts may need reasoning_tokens)" if _is_cut(choice) else ""
        raise Unusable(f"empty answer{cut}")
    return text.encode(errors="replace").decode()  # halves of surrogate pairs can be sent and stored nowhere


def sentence_of(answer: Answer) -> str:
    """An explanation: one line. Raises Unusable as `text_of`, and where the words are those of a refusal."""
    text = " ".join(_LEAD_IN.sub("", text_of(answer)).split())
    wrapped = _WRAPPED.fullmatch(text)
    text = wrapped[2].strip() if wrapped else text
    if _REFUSAL.match(text):
        raise Unusable(f"refused: {_short(text)}")
    if not text:
        raise Unusable("empty answer")
    return text


def digits_of(answer: Answer, n: int, highest: int = 9) -> Int[np.ndarray, " n"]:
    """The values of an object {"0": d, ..., "n-1": d}, each a whole number from 0 to `highest`.

    Found in whatever stands around it. Raises Unusable for missing, repeated, foreign or impossible values.
    """
    text = text_of(answer)
    pairs = _PAIR.findall(text)
    if not pairs:
        raise Unusable(f"no values: {_short(text)}")
    found = dict(pairs)
    if len(pairs) != n or any(str(key) not in found for key in range(n)):
        cut = ", cut at its longest" if _is_cut(choice_of(answer)) else ""
        raise Unusable(f"{len(found)} keys in {len(pairs)} values of {n}, the last {_short(pairs[-1][0])}{cut}")
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
    tokens = [object_of(token) for token in list_of(object_of(choice_of(answer).get("logprobs")).get("content"))]
    texts = [str(token.get("token", "")) for token in tokens]
    text = "".join(texts)
    ends = list(accumulate(map(len, texts)))
    values, masses = np.full(n, np.nan), np.zeros(n)
    keys = {str(key): key for key in range(n)}
    for match in _PAIR.finditer(text):
        key, place = keys.get(match[1]), match.start(2)
        if key is not None and len(match[2]) == 1:
            token = int(np.searchsorted(ends, place, side="right"))
            top = [object_of(each) for each in list_of(tokens[token].get("top_logprobs"))]
            likely = {str(each.get("token")): each.get("logprob") for each in top}
            values[key], masses[key] = expected_digit(likely, texts[token], place - (ends[token] - len(texts[token])))
    return values if np.isfinite(values).all() and np.median(masses) >= LEAST_MASS else None


def expected_digit(likely: Mapping[Any, Any], token: str, place: int) -> tuple[float, float]:
    """The expected digit, and the probability of digits; NaN and 0 without any.

    likely: token -> log probability. `token` is the one that was chosen, its digit at `place`; others count where
    they differ from it in that digit alone, or are a bare digit.
    """
    before, after = token[:place], token[place + 1 :]
    total = weighted = 0.0
    for text, logprob in likely.items():
        if not isinstance(text, str) or not isinstance(logprob, int | float) or not -1e9 < logprob <= 1:  # they round
            continue
        digit = text[len(before) : len(text) - len(after)] if text.startswith(before) and text.endswith(after) else ""
        digit = digit if len(digit) == 1 else text.strip()
        if len(digit) == 1 and digit in "0123456789":
            probability = math.exp(logprob)
            total += probability
            weighted += probability * int(digit)
    return (weighted / total, total) if total > 0 else (math.nan, 0.0)


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


def _is_cut(choice: Mapping[str, Any]) -> bool:
    return choice.get("finish_reason") == "length"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= SHOWN else flat[:SHOWN] + "…"

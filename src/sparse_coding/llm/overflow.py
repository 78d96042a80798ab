"""A question that does not fit into a server's context: whether that is what a refusal says, and in what numbers.

Servers say it in words of their own; the numbers are read where the words are known, and the words stand beside them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SIGNS = (
    "context_length_exceeded",
    "string_above_max_length",
    "exceed_context_size_error",
    "ContextWindowExceeded",
    "maximum context length",
    "maximum model length",
    "maximum number of tokens allowed",
    "exceeds the available context",
    "longer than the model's context",
    "larger than the maximum context",
    "prompt is too long",
    "input is too long",
    "exceeds the context window",
)
_N = r"(\d[\d,]*)"
_NEEDED = (
    rf"requested (?:a total of )?{_N} tokens",
    rf"for a total of (?:at least )?{_N} tokens",
    rf"resulted in {_N} tokens",
    rf"request \({_N} tokens\)",
    rf"request has {_N} input tokens",
    rf"prompt contains (?:at least )?{_N} (?:input )?tokens",
    rf"(?:prompt|input) \((?:length )?{_N}(?: tokens)?\)",
    rf"input token count \({_N}\)",
    rf"too long: {_N} tokens",
)
_ROOM = (
    rf"context length (?:is|of) (?:only )?{_N}",
    rf"context size \({_N} tokens\)",
    rf"model length of {_N}",
    rf"context length \({_N}",
    rf"tokens allowed \({_N}\)",
    rf"> {_N} maximum",
    rf"with {_N} maximum context",
)
_BOTH = re.compile(rf"\({_N} > {_N} - {_N}\)")  # vLLM: the answer, the context, the question


@dataclass(frozen=True)
class Overflow:
    """Tokens that a question needs and that the server has room for; None where it does not say."""

    needed: int | None = None
    room: int | None = None

    def __str__(self) -> str:
        has = "a context that is too small" if self.room is None else f"a context of {self.room:,} tokens"
        return has if self.needed is None else f"{has}, where {self.needed:,} are needed"


def overflow_of(error: Mapping[str, Any], said: str) -> Overflow | None:
    """What a refusal says of the context; None where it is about something else.

    error: the object that the server calls so; said: its words. llama.cpp has the numbers as fields.
    """
    signs = f"{error.get('code')} {error.get('type')} {said}".casefold()
    if not any(sign.casefold() in signs for sign in _SIGNS):
        return None
    needed, room = (_count(error.get(name)) for name in ("n_prompt_tokens", "n_ctx"))
    needed, room = needed or _both(said) or _first(_NEEDED, said), room or _first(_ROOM, said)
    if needed is not None and room is not None and needed <= room:  # of the question alone: its answer does not fit
        needed = None
    return Overflow(needed, room)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _both(said: str) -> int | None:
    """Of question and answer, where they are said apart."""
    found = _BOTH.search(said)
    return None if found is None else _number(found[1]) + _number(found[3])


def _number(digits: str) -> int:
    return int(digits.replace(",", ""))


def _first(patterns: tuple[str, ...], said: str) -> int | None:
    found = (re.search(pattern, said, re.I) for pattern in patterns)
    return next((_number(match[1]) for match in found if match), None)

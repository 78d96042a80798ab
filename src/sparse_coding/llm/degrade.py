"""What to leave out when a server refuses a request (HTTP 400).

Servers differ in the parameters that they know. It is decided by what the refused request did hold, not by what
others learned meanwhile: many calls are under way at the same time, and each would be refused for its own form.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sparse_coding.llm.request import Endpoint, Request

# In this order, where the server does not say which it is. `max_tokens` gets its newer name; the rest is left out.
_LADDERS: dict[str, tuple[str, ...]] = {
    "chat/completions": ("logprobs", "response_format", "temperature", "seed", "max_tokens"),
    "completions": ("seed", "temperature"),
}
_NEWER = {"max_tokens": "max_completion_tokens"}
_TOGETHER = {"logprobs": ("top_logprobs",)}
_NO_MODEL = re.compile(
    r"(invalid|unknown|unsupported|no such) model|model\b.*\b(not|no) (found|exist|available|known)", re.I
)

_REFUSES = re.compile(
    r"unknown|unsupported|unrecogni[sz]ed|unexpected|invalid|extra|additional"
    r"|not (supported|allowed|permitted|recogni[sz]ed|valid)",
    re.I,
)


def without(body: Mapping[str, Any], dropped: Iterable[str]) -> dict[str, Any]:
    """The body as it is sent."""
    sent = dict(body)
    for name in dropped:
        value = sent.pop(name, None)
        for other in _TOGETHER.get(name, ()):
            sent.pop(other, None)
        if name in _NEWER and value is not None:
            sent[_NEWER[name]] = value
    return sent


def next_to_drop(endpoint: Endpoint, sent: Mapping[str, Any], complaint: str) -> str | None:
    """The parameter to leave out next, of those that were sent: the one that is complained of, or the first."""
    left = [name for name in _LADDERS[endpoint] if name in sent]
    return next(iter([*_named(left, complaint), *left]), None)


def is_vague(endpoint: Endpoint, sent: Mapping[str, Any], complaint: str) -> bool:
    """Whether the server does not say which of the parameters it is, if it is one at all."""
    return not _named([name for name in _LADDERS[endpoint] if name in sent], complaint)


def beyond(request: Request, sent: Mapping[str, Any], complaint: str) -> str | None:
    """What leaving out will not mend, in words: a field of `llm.extra`, or the model; None where it may."""
    if not is_vague(request.endpoint, sent, complaint):
        return None
    field = next((name for name in _names(request.extra) if re.search(rf"\b{re.escape(name)}\b", complaint)), None)
    if field is not None and _REFUSES.search(complaint):  # names may be everyday words: `user`, `order`
        return f"autointerp.llm.extra: {field} is refused"
    return "no such model" if request.model in complaint and _NO_MODEL.search(complaint) else None


def _names(extra: Mapping[str, Any]) -> Iterator[str]:
    """Of fields at any depth."""
    for name, value in extra.items():
        yield name
        if isinstance(value, dict):
            yield from _names(value)


def _named(names: Iterable[str], complaint: str) -> list[str]:
    return [name for name in names if any(word in complaint for word in (name, *_TOGETHER.get(name, ())))]

"""What a call used, as the server counts it."""

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeGuard

MOST_COUNTED = 10**9  # tokens of a call; a server that counts more has miscounted


class Used(NamedTuple):
    """Tokens read and written. cached: how many of those read came from the server's cache; None: it does not say."""

    prompt: int
    completion: int
    cached: int | None = None


def used(answer: Mapping[str, Any]) -> Used | None:
    """Of the answer, by its `usage`; None where the server does not count, or cannot."""
    usage = answer.get("usage")
    if not isinstance(usage, dict):
        return None
    read, written = usage.get("prompt_tokens"), usage.get("completion_tokens")
    return Used(read, written, _cached(usage, read)) if is_count(read) and is_count(written) else None


def _cached(usage: Mapping[str, Any], read: int) -> int | None:
    """By its names with OpenAI and vLLM, DeepSeek, and Anthropic behind gateways; never more than was read."""
    details = usage.get("prompt_tokens_details")
    named = (
        details.get("cached_tokens") if isinstance(details, dict) else None,
        usage.get("prompt_cache_hit_tokens"),
        usage.get("cache_read_input_tokens"),
    )
    return next((count for count in named if is_count(count) and count <= read), None)


def is_count(value: object) -> TypeGuard[int]:
    """Whether it can be a number of tokens."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_COUNTED

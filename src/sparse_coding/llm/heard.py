"""Which models answered. A server may answer with another model than the one that was asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

# Of the task that asks, so that calls for many features side by side are kept apart; its own tasks inherit it.
_LISTENING: ContextVar[set[str] | None] = ContextVar("listening", default=None)


@contextmanager
def listening(names: set[str]) -> Iterator[None]:
    """Put into `names` what the answers to all that is asked for inside say their model is, kept answers too."""
    before = _LISTENING.set(names)
    try:
        yield
    finally:
        _LISTENING.reset(before)


def add(more: set[str]) -> None:
    """Put names where the task that asks listens."""
    names = _LISTENING.get()
    if names is not None:
        names |= more


def note(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer itself, once its model is noted."""
    if name := name_of(answer):
        add({name})
    return answer


def name_of(answer: dict[str, Any]) -> str:
    """The model that an answer is of, as it says; empty where it does not."""
    name = answer.get("model")
    return " ".join(name.split()).encode(errors="replace").decode() if isinstance(name, str) else ""

"""Scores that answers of two models gave are not put together, also where both were asked for by one name."""

from collections.abc import Iterable, Mapping
from typing import Any

SEPARATOR = "; "  # between the names of models in one cell
ANSWERED = ("explainer_answered", "judge_answered")
ONE = (
    "answers of one: name that model itself as explainer or judge, or give autointerp.llm.server another name, under "
    "which all is asked anew"
)


def mixed(rows: Iterable[Mapping[str, Any]]) -> str:
    """Which of the columns ANSWERED name several models, and which, in words; empty where each names one at most."""
    found: dict[str, set[str]] = {column: set() for column in ANSWERED}
    for row in rows:
        for column in ANSWERED:
            found[column].update((row.get(column) or "").split(SEPARATOR))
    several = {column: sorted(names - {""}) for column, names in found.items() if len(names - {""}) > 1}
    return "; ".join(f"{column.removesuffix('_answered')}: answers of {' and of '.join(names)}"
                     for column, names in several.items())  # fmt: skip

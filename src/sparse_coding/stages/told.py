"""What tables say of a dictionary that its settings do not: its file alone has it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sparse_coding import methods
from sparse_coding.io import dictionaries
from sparse_coding.settings.slices import Described

Row = TypeVar("Row", bound=Described)
WISHED = {"l1": "l1", "k": "k"}  # what came of a wished L0
PUBLISHED = {"kind": "architecture", "ratio": "ratio", "k": "k"}  # of one that was trained elsewhere


def with_told(described: Row, made: Mapping[str, Any]) -> Row:
    """The row of a dictionary of whose making its file says `made`."""
    names = PUBLISHED if methods.is_published(described.kind) else WISHED if described.l0_target is not None else {}
    return described.model_copy(update={name: made.get(key) for name, key in names.items()})


def published(members: Mapping[str, Row], paths: Sequence[Path]) -> dict[str, Row]:
    """Rows in the order of their files, with what the files of those say that were trained elsewhere."""
    pairs = zip(members.items(), paths, strict=True)
    return {
        name: with_told(row, dictionaries.settings_of(path)) if methods.is_published(row.kind) else row
        for (name, row), path in pairs
    }

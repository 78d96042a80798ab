"""What tables say of a dictionary that its settings do not: its file alone has it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from sparse_coding import methods
from sparse_coding.errors import BadInput

# Column -> what the file calls it: what came of a wished L0; what one is that was trained elsewhere.
WISHED = {"l1": "l1", "k": "k"}
PUBLISHED = {"kind": "architecture", "ratio": "ratio", "k": "k"}


def columns(kind: str, l0_target: float | None, made: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a dictionary that settings call of this kind, and of whose making its file says `made`."""
    names = PUBLISHED if methods.is_published(kind) else WISHED if l0_target is not None else {}
    return {name: made.get(key) for name, key in names.items()}


def published(kind: str, path: Path) -> dict[str, Any]:
    """The same of one that was trained elsewhere, by its file alone; of others none. Raises as `made_of`."""
    return columns(kind, None, made_of(path)) if methods.is_published(kind) else {}


def made_of(path: Path) -> dict[str, Any]:
    """What the file of a dictionary says of its making; its tensors are not read, nor held against the checksum.

    Raises BadInput, naming the file, for one of another kind.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})["sparse_coding"])
        return dict(json.loads(header["settings"]))
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        wanted = "the file of a dictionary that sparse_coding wrote"
        raise BadInput(path, f"none ({' '.join(str(error).split())})", wanted) from None

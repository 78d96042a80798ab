"""Which format a path is of, by what lies there; never by what most of a kind would be."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from sparse_coding.errors import BadInput
from sparse_coding.formats import (
    circuit_tracer,
    dictionary_learning,
    gemma_scope,
    llama_scope,
    original,
    saelens,
    sparsify,
    state_dicts,
)
from sparse_coding.formats.parts import Found


@dataclass(frozen=True)
class Format:
    """find: what of a path it reads, None where it is not of this format. read: that, and what has to be told."""

    name: str
    find: Callable[[Path], Path | None]
    read: Callable[..., Found]
    told: tuple[str, ...] = ()


NAMED = 8  # files of a folder that is of no format
FORMATS = (
    Format(saelens.NAME, saelens.find, saelens.read),
    Format(sparsify.NAME, sparsify.find, sparsify.read),
    Format(dictionary_learning.NAME, dictionary_learning.find, dictionary_learning.read),
    Format(gemma_scope.NAME, gemma_scope.find, gemma_scope.read, ("of",)),
    Format(gemma_scope.NAME_2, gemma_scope.find_2, gemma_scope.read_2),
    Format(llama_scope.NAME, llama_scope.find, llama_scope.read),
    Format(circuit_tracer.NAME, circuit_tracer.find, circuit_tracer.read),
    Format(original.NAME, original.find, original.read, ("which",)),
    Format(state_dicts.NAME, state_dicts.find, state_dicts.read, ("k",)),
)


def is_ours(path: Path) -> bool:
    """Whether it is a file of a dictionary that this project wrote."""
    if path.suffix != ".safetensors" or not path.is_file():
        return False
    try:
        with safe_open(path, framework="numpy") as file:
            return "sparse_coding" in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def format_of(path: Path) -> tuple[Format, Path] | None:
    """The format of what lies at a path, and what of it is read; None where it is of none that is known.

    Raises BadInput where several dictionaries lie there.
    """
    for form in FORMATS:
        if (place := form.find(path)) is not None:
            return form, place
    return None


def read(path: Path, **told: Any) -> Found:
    """A dictionary of another library. told: what its format leaves to the name of a repository.

    Raises BadInput where nothing there is of a format that is known, or where it cannot be read exactly.
    """
    wanted = f"a dictionary of {', '.join(each.name for each in FORMATS)}"
    path = Path(os.path.abspath(path))  # what a file belongs to lies above it
    if not path.exists():
        raise BadInput(path, "no such file", wanted)
    if (known := format_of(path)) is None:
        those = ", ".join(sorted(each.name for each in path.iterdir())[:NAMED]) if path.is_dir() else None
        found = (
            "a file of no format that is known"
            if those is None
            else f"a folder of {those}"
            if those
            else "an empty folder"
        )
        raise BadInput(path, found, wanted)
    form, place = known
    if unknown := told.keys() - set(form.told):
        takes = f"only {', '.join(form.told)}" if form.told else "nothing: its files tell all"
        raise BadInput(path, f"{form.name}, and told {', '.join(sorted(unknown))}", takes)
    return form.read(place, **told)

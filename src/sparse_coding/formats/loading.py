"""A dictionary of another library, for people."""

import sys
from dataclasses import replace
from pathlib import Path

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.formats import reading


def dictionary(path: Path, of: str | None = None) -> Dictionary | None:
    """Ours that computes what the one at `path` computes; None where nothing there is of a format of another library.

    of: see reading.read. What may be wrong with the file goes to stderr. Raises BadInput as reading.read.
    """
    if reading.is_ours(path) or (reading.format_of(path) is None and of is None):
        return None
    found = reading.read(path, **({} if of is None else {"of": of}))
    for trap in found.about.traps:
        print(f"{path}: {trap}", file=sys.stderr)
    name, kind = path.name if path.is_dir() else path.stem, f"{found.about.format} {found.about.architecture}"
    return replace(found.raw.dictionary(), name=name, site=found.about.hook, kind=kind, path=str(path))

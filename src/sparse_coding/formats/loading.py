"""A dictionary of another library, for people."""

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.formats import reading


def dictionary(path: Path, **told: Any) -> Dictionary | None:
    """Ours that computes what the one at `path` computes; None where nothing there is of a format of another library.

    told: see reading.read. What may be wrong with the file goes to stderr. Raises BadInput as reading.read.
    """
    path = Path(os.path.abspath(path))  # `.` and what lies beside a checkpoint have names, too
    if reading.is_ours(path) or (reading.format_of(path) is None and not told):
        return None
    found = reading.read(path, **told)
    for trap in found.about.traps:
        print(f"{path}: {trap}", file=sys.stderr)
    name, kind = path.name if path.is_dir() else path.stem, f"{found.about.format} {found.about.architecture}"
    return replace(found.raw.dictionary(), name=name, site=found.about.hook, kind=kind, path=str(path))

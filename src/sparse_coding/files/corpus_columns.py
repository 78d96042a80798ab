"""Whether a local corpus has the column of its text, from the head of its first file: asked at each parse."""

import json
from itertools import islice
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.files import corpus_files
from sparse_coding.files.lfs import refuse_pointer

FIRST_LINES = 100
PORTION = 1 << 20  # bytes of lines that are searched at a time


def check(path: Path, text_field: str, place: str) -> None:
    """Raise BadInput, naming `place`, where the first file of a plain local corpus has no column `text_field`.

    What is laid out like a repository of the hub is left to the step that reads it, and so is a damaged file.
    """
    if not path.exists() or (found := corpus_files.plain(path)) is None:
        return
    kind, files = found
    refuse_pointer(files[0])
    if kind == "text" or not files[0].stat().st_size:
        return
    columns = _columns(files[0], kind, text_field)
    if columns is not None and text_field not in columns:
        raise BadInput(place, text_field, f"one of {', '.join(sorted(columns))}: the columns of {files[0]}")


def _columns(file: Path, kind: str, text_field: str) -> set[str] | None:
    """The columns of a file; None where it cannot be read."""
    try:
        if kind == "json":
            return _of_lines(file, text_field)
        return _of_schema(file, kind)
    except Exception:  # each reader has exceptions of its own; the step that reads it says what is wrong
        return None


def _of_schema(file: Path, kind: str) -> set[str]:
    import pyarrow.ipc  # a third of a second, where a corpus is of such files

    with file.open("rb") as raw:
        if kind == "parquet":
            from pyarrow.parquet import read_schema

            return set(read_schema(raw).names)
        is_table = raw.read(6) == b"ARROW1"
        raw.seek(0)
        return set((pyarrow.ipc.open_file if is_table else pyarrow.ipc.open_stream)(raw).schema.names)


def _of_lines(file: Path, text_field: str) -> set[str]:
    """The keys of the first lines, and `text_field` where it stands anywhere: a row may lack it."""
    found: set[str] = set()
    with corpus_files.opened(file) as lines:
        for line in islice(lines, FIRST_LINES):
            if content := line.decode("utf-8-sig").strip():
                found.update(json.loads(content))
            if text_field in found:
                return found
        names = [json.dumps(text_field, ensure_ascii=ascii_only).encode() for ascii_only in (True, False)]
        rest = b""
        while portion := lines.read(PORTION):
            if any(name in rest + portion for name in names):
                return found | {text_field}
            rest = portion[-max(map(len, names)) :]
    return found

"""Rows of one file, and of them one column: what stands in the others, and of which type it is, does not matter."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.files import corpus_files
from sparse_coding.files.lfs import refuse_pointer

BATCH_ROWS = 1024  # of a Parquet file, decoded at a time
CONTROL_SHARE = 0.05  # of a text's characters; UTF-16 that is read as UTF-8 has half of them
_LAID_OUT = frozenset("\t\n\r\f\v\b\x1b")  # control characters that stand in texts; \b overstrikes in manuals
WHOLE = {"json": "one JSON object a line, in UTF-8", "parquet": "a whole Parquet file", "arrow": "a whole Arrow file"}


def texts(file: Path, kind: str, text_field: str) -> Iterator[str | None]:
    """The text of each document of a file, in order; None for a row without one (null, or no such key).

    kind: text, json, parquet or arrow. Raises BadInput, naming the file, where it cannot be read, no row has the
    column, or it holds something else than text.
    """
    refuse_pointer(file)
    if kind == "text":
        yield _text(file)
        return
    try:
        if not file.stat().st_size:  # a shard may have no rows
            return
        for value in {"json": _json, "parquet": _parquet, "arrow": _arrow}[kind](file, text_field):
            yield as_text(value, text_field, file)
    except BadInput:
        raise
    except FileNotFoundError:
        raise BadInput(file, "no such file", WHOLE[kind]) from None
    except Exception as error:  # each reader has exceptions of its own
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise BadInput(file, f"a damaged file ({reason})", WHOLE[kind]) from error


def as_text(value: Any, text_field: str, place: object) -> str | None:
    """A value of the text column. Raises BadInput where it is something else than text or nothing."""
    if value is None or isinstance(value, str):
        return value
    raise BadInput(f"{place}: column {text_field!r}", f"{type(value).__name__} {value!r:.60}", "text")


def no_column(place: object, columns: object, text_field: str) -> BadInput:
    """What to tell where `columns`, some names, lack the one of the text."""
    found = f"columns {', '.join(sorted(columns)) or '(none)'}"  # type: ignore[call-overload]
    return BadInput(place, found, f"a column {text_field!r}; text_field names it")


def _text(file: Path) -> str:
    wanted = "UTF-8 text"
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(file, f"byte {error.object[error.start]:#04x} at {error.start}", wanted) from None
    except OSError as error:
        raise BadInput(file, f"a file that cannot be read ({error.strerror})", wanted) from None
    control = sum(text.count(chr(code)) for code in range(32) if chr(code) not in _LAID_OUT)
    if "\0" in text and control > CONTROL_SHARE * len(text):  # each space of UTF-16 has a NUL; \x01 parts fields
        found = f"{control} control characters in {len(text)}: UTF-16 without a byte-order mark, or no text"
        raise BadInput(file, found, wanted)
    return text


def _json(file: Path, text_field: str) -> Iterator[Any]:
    """As a stream of lines: a file may be larger than memory."""
    keys: set[str] = set()
    has_text = False
    for place, row in _json_rows(file):
        if not isinstance(row, dict):
            raise BadInput(f"{file}: {place}", f"a {type(row).__name__}", WHOLE["json"])
        if not has_text:
            has_text = text_field in row
            keys.update(row)
        value = row.get(text_field)
        if isinstance(value, str) and not value.isascii() and not _is_unicode(value):
            raise BadInput(f"{file}: {place}", "half a surrogate pair in the text", "whole characters")
        yield value
    if keys and not has_text:
        raise no_column(file, keys, text_field)


def _json_rows(file: Path) -> Iterator[tuple[str, Any]]:
    """Each row and what messages call its place: a line, or an entry where the whole file is one array."""
    with corpus_files.opened(file) as lines:
        for number, line in enumerate(lines, 1):
            content = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            if number == 1 and content.startswith("["):
                whole = json.loads(content + lines.read().decode("utf-8"))
                yield from ((f"entry {index}", row) for index, row in enumerate(whole))
                return
            if content:
                try:
                    yield f"line {number}", json.loads(content)
                except json.JSONDecodeError as error:
                    raise BadInput(f"{file}: line {number}", f"a damaged file ({error})", WHOLE["json"]) from None


def _is_unicode(text: str) -> bool:
    """Whether all of it is characters: JSON can name halves of a surrogate pair, which no tokenizer takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet(file: Path, text_field: str) -> Iterator[Any]:
    from pyarrow.parquet import ParquetFile  # as below: half a second to import, and most runs do without it

    with ParquetFile(file) as whole:
        names = whole.schema_arrow.names
        if text_field not in names:
            raise no_column(file, names, text_field)
        # Without threads: when Python ends, it may abort them (datasets, issue 7566).
        for batch in whole.iter_batches(BATCH_ROWS, columns=[text_field], use_threads=False):
            yield from batch.column(text_field).to_pylist()


def _arrow(file: Path, text_field: str) -> Iterator[Any]:
    """What `datasets` writes is a stream; other writers make files with a table of contents."""
    import pyarrow.ipc

    with open(file, "rb") as raw:
        is_file = raw.read(6) == b"ARROW1"
        raw.seek(0)
        schema = (pyarrow.ipc.open_file if is_file else pyarrow.ipc.open_stream)(raw).schema
        if text_field not in schema.names:
            raise no_column(file, schema.names, text_field)
        raw.seek(0)
        only = pyarrow.ipc.IpcReadOptions(included_fields=[schema.names.index(text_field)], use_threads=False)
        if is_file:
            reader = pyarrow.ipc.open_file(raw, options=only)
            batches = (reader.get_batch(index) for index in range(reader.num_record_batches))
        else:
            batches = iter(pyarrow.ipc.open_stream(raw, options=only))
        for batch in batches:
            column = batch.column(text_field)
            column.validate(full=True)
            yield from column.to_pylist()

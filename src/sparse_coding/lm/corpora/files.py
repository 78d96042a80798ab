"""Corpora in local files: .txt and .md (a document a file), .jsonl and .parquet (a document a row)."""

import gc
from collections.abc import Iterable, Iterator
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora.documents import Documents, split

KINDS = {".txt": "text", ".md": "text", ".jsonl": "json", ".parquet": "parquet"}
WANTED = "a .txt, .md, .jsonl or .parquet file with text, or a folder of them"


def load(path: Path, text_field: str, held_out_share: float, seed: int) -> Documents:
    """The documents of a file, or of a folder's files in sorted order, split by document.

    Raises BadInput, naming the file, where one cannot be read or lacks the column, and naming `path` where there
    is no text in it or its files are of several kinds.
    """
    files = _files(path)
    kinds = {KINDS[file.suffix.lower()] for file in files}
    if not kinds:
        raise BadInput(path, "no file that could be a corpus", WANTED)
    if len(kinds) > 1:
        raise BadInput(path, f"files of several kinds ({', '.join(sorted(kinds))})", "a folder with files of one kind")
    kind = kinds.pop()
    documents = (
        map(_text, files) if kind == "text" else (row for file in files for row in _rows(file, kind, text_field))
    )
    texts = [text for text in documents if text.strip()]
    if not texts:
        raise BadInput(path, f"{len(files)} file(s) and no text in them", WANTED)
    return split(texts, held_out_share, seed, path)


def column(rows: Iterable[dict], field: str, place: object) -> Iterator[str]:
    """The text of each row; rows without one (null) are left out.

    Raises BadInput, naming `place`, where the column is missing or holds something else than text.
    """
    for row in rows:
        if field not in row:
            found = f"columns {', '.join(sorted(row)) or '(none)'}"
            raise BadInput(place, found, f"a column {field!r}; dataset.text_field names it")
        if isinstance(row[field], str):
            yield row[field]
        elif row[field] is not None:
            raise BadInput(f"{place}: column {field!r}", f"{type(row[field]).__name__} {row[field]!r:.60}", "text")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if path.suffix.lower() in KINDS else []
    inside = (file for file in path.rglob("*") if file.is_file() and file.suffix.lower() in KINDS)
    visible = (file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts))
    return sorted(visible, key=lambda file: file.relative_to(path).as_posix())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(file, f"byte {error.object[error.start]:#04x} at {error.start}", "UTF-8 text") from None
    except OSError as error:
        raise BadInput(file, f"a file that cannot be read ({error.strerror})", "UTF-8 text") from None


def _rows(file: Path, kind: str, text_field: str) -> Iterator[str]:
    if not file.stat().st_size:
        return
    from datasets import load_dataset  # a second to import, and most runs do without it

    wanted = "one JSON object a line, in UTF-8" if kind == "json" else "a whole Parquet file"
    try:
        # Streaming, so that no copy of the data stays behind in a cache.
        yield from column(
            load_dataset(kind, data_files=[str(file.resolve())], split="train", streaming=True), text_field, file
        )
    except BadInput:
        raise
    except Exception as error:  # each reader has exceptions of its own
        raise BadInput(file, f"a damaged file ({' '.join(str(error).split())[:300]})", wanted) from error
    finally:
        # Arrow's threads must end while it is there: when Python ends, they may abort it (datasets, issue 7566).
        gc.collect()

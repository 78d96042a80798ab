"""Corpora in local files: .txt and .md (a document a file), .jsonl, .parquet and .arrow (a document a row)."""

import gc
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_coding.errors import BadInput
from sparse_coding.lm.corpora.documents import Documents, split

if TYPE_CHECKING:
    from datasets import IterableDataset

KINDS = {".txt": "text", ".md": "text", ".jsonl": "json", ".parquet": "parquet", ".arrow": "arrow"}
COMPRESSED = tuple(f".jsonl{suffix}" for suffix in (".gz", ".bz2", ".xz", ".zst"))
WANTED = "a .txt, .md, .jsonl (.gz, .bz2, .xz, .zst), .parquet or .arrow file with text, or a folder of them"
WHOLE = {"json": "one JSON object a line, in UTF-8", "parquet": "a whole Parquet file", "arrow": "a whole Arrow file"}


def load(path: Path, text_field: str, held_out_share: float, seed: int) -> Documents:
    """The documents of a file, or of a folder's files in sorted order, split by document.

    Raises BadInput, naming the file, where one cannot be read or lacks the column, and naming `path` where there
    is no text in it or its files are of several kinds.
    """
    kind, files = of(path)
    texts = [row["text"] for row in _rows(files, kind, text_field)]
    if not texts:
        raise BadInput(path, f"{len(files)} file(s) and no text in them", WANTED)
    return split(texts, held_out_share, seed, path)


def stream(path: Path, text_field: str) -> "IterableDataset":
    """The same documents, read when they are asked for, in a column `text`; a file is a shard."""
    from datasets import IterableDataset

    kind, files = of(path)
    return IterableDataset.from_generator(_rows, gen_kwargs={"files": files, "kind": kind, "text_field": text_field})


def of(path: Path) -> tuple[str, list[Path]]:
    """The kind of the files of a corpus, as `datasets` calls it, and the files, sorted. Raises BadInput as `load`."""
    files = _files(path)
    kinds = {str(kind_of(file)) for file in files}
    if not kinds:
        raise BadInput(path, "no file that could be a corpus", WANTED)
    if len(kinds) > 1:
        raise BadInput(path, f"files of several kinds ({', '.join(sorted(kinds))})", "a folder with files of one kind")
    return kinds.pop(), files


def kind_of(file: Path) -> str | None:
    """What `datasets` calls the kind of a file, by its name; None for what can be no corpus."""
    return "json" if file.name.lower().endswith(COMPRESSED) else KINDS.get(file.suffix.lower())


def column(rows: Iterable[dict], field: str, place: object) -> Iterator[str]:
    """The text of each row; rows without one (null) are left out.

    Raises BadInput, naming `place`, where the column is missing or holds something else than text.
    """
    for row in rows:
        if field not in row:
            found = f"columns {', '.join(sorted(row)) or '(none)'}"
            raise BadInput(place, found, f"a column {field!r}; text_field names it")
        if isinstance(row[field], str):
            yield row[field]
        elif row[field] is not None:
            raise BadInput(f"{place}: column {field!r}", f"{type(row[field]).__name__} {row[field]!r:.60}", "text")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path] if kind_of(path) else []
    inside = (file for file in path.rglob("*") if file.is_file() and kind_of(file))
    visible = (file for file in inside if not any(part.startswith(".") for part in file.relative_to(path).parts))
    return sorted(visible, key=lambda file: file.relative_to(path).as_posix())


def _rows(files: list[Path], kind: str, text_field: str) -> Iterator[dict[str, str]]:
    """The documents of `files` that hold more than blanks."""
    for file in files:
        texts = iter([_text(file)]) if kind == "text" else _column_of(file, kind, text_field)
        yield from ({"text": text} for text in texts if text.strip())


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(file, f"byte {error.object[error.start]:#04x} at {error.start}", "UTF-8 text") from None
    except OSError as error:
        raise BadInput(file, f"a file that cannot be read ({error.strerror})", "UTF-8 text") from None


def _column_of(file: Path, kind: str, text_field: str) -> Iterator[str]:
    if file.suffix.lower() == ".zst" and find_spec("zstandard") is None:
        wanted = "`pip install zstandard`, or another compression (.gz, .bz2, .xz)"
        raise BadInput(file, "Zstandard compression, and no package zstandard", wanted)
    from datasets import load_dataset  # a second to import, and most runs do without it

    try:
        if _is_empty(file, kind):
            return
        # Streaming, so that no copy of the data stays behind in a cache.
        yield from column(
            load_dataset(kind, data_files=[str(file.resolve())], split="train", streaming=True), text_field, file
        )
    except BadInput:
        raise
    except Exception as error:  # each reader has exceptions of its own
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise BadInput(file, f"a damaged file ({reason})", WHOLE[kind]) from error
    finally:
        # Arrow's threads must end while it is there: when Python ends, they may abort it (datasets, issue 7566).
        gc.collect()


def _is_empty(file: Path, kind: str) -> bool:
    """Whether a file has no rows, as a shard may; `datasets` cannot read such a Parquet file."""
    if kind != "parquet" or not file.stat().st_size:
        return not file.stat().st_size
    from pyarrow.parquet import read_metadata

    return not read_metadata(file).num_rows

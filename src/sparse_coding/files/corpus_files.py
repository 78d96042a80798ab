"""Which files a local corpus is: those that are read, and so those that its key is made of.

.txt and .md files are a document each; .jsonl, .parquet and .arrow files have a row a document. A folder may also be
laid out like a repository of the data hub, with a card that says what belongs to which split, or be what `datasets`
saved; then the `datasets` library says which of its files are what. Known without it here, at each parse.
"""

import bz2
import gzip
import io
import lzma
import re
from pathlib import Path
from typing import IO, Any

from sparse_coding.errors import BadInput
from sparse_coding.files.folders import existing, visible_files

KINDS = {".txt": "text", ".md": "text", ".jsonl": "json", ".parquet": "parquet", ".arrow": "arrow"}
COMPRESSED = tuple(f".jsonl{suffix}" for suffix in (".gz", ".bz2", ".xz", ".zst"))
WANTED = "a .txt, .md, .jsonl (.gz, .bz2, .xz, .zst), .parquet or .arrow file with text, or a folder of them"
SAVED = ("dataset_dict.json", "dataset_info.json")  # what `datasets` writes beside its own files
CARD = "README.md"
PROSE = ("readme", "license", "licence")  # names, without their ending, of what people read beside data
PROSE_ENDINGS = ("", ".md", ".txt", ".rst")
_SHARD = re.compile(r"(^|[-_.])(train|validation|test)-\d{5}-of-\d{5}")
_DESCRIBED = re.compile(r"^(configs|dataset_info):", re.MULTILINE)
_FRONT = re.compile(r"\A\s*---[\r\n]+(.*?)[\r\n]+---\s*?(\n|\Z)", re.DOTALL)  # as huggingface_hub reads a card


def kind_of(file: Path) -> str | None:
    """What `datasets` calls the kind of a file, by its name; None for what can be no corpus."""
    return "json" if file.name.lower().endswith(COMPRESSED) else KINDS.get(file.suffix.lower())


def of(path: Path) -> tuple[str, list[Path]]:
    """The kind of the files of a corpus, and the files: one, or those of a folder in sorted order.

    What people read beside data is no part of it: a README or licence beside rows, or at the top of a folder of texts.
    Raises BadInput, naming `path`, where no file could be a corpus or they are of several kinds.
    """
    return _plain(path, [path] if path.is_file() else visible_files(path))


def _plain(path: Path, files: list[Path]) -> tuple[str, list[Path]]:
    candidates = {file: kind for file in files if (kind := kind_of(file))}
    of_rows = set(candidates.values()) != {"text"}
    beside = {file for file in candidates if is_prose(file) and (of_rows or file.parent == path)}
    found = [file for file in candidates if file not in beside] or list(candidates)
    kinds = {candidates[file] for file in found}
    if not kinds:
        raise BadInput(path, "no file that could be a corpus", WANTED)
    if len(kinds) > 1:
        raise BadInput(path, f"files of several kinds ({', '.join(sorted(kinds))})", "a folder with files of one kind")
    return kinds.pop(), existing(found)


def is_prose(file: Path) -> bool:
    """Whether a file is what people read beside data, by its name."""
    return file.name.lower().partition(".")[0] in PROSE and file.suffix.lower() in PROSE_ENDINGS


def is_repository(path: Path) -> bool:
    """Whether a local folder is laid out like a repository of the hub, or is in a format of `datasets` itself."""
    return path.is_dir() and _is_laid_out(path, visible_files(path))


def _is_laid_out(path: Path, files: list[Path]) -> bool:
    if any((path / name).is_file() for name in SAVED) or _DESCRIBED.search(description(path)):
        return True
    return any(_SHARD.search(file.name) for file in files)


def description(path: Path) -> str:
    """What the card of a repository says to programs: the YAML at its head; empty where there is none."""
    card = path / CARD
    front = _FRONT.match(card.read_text(encoding="utf-8", errors="replace")) if card.is_file() else None
    return front[1] if front else ""


def plain(path: Path) -> tuple[str, list[Path]] | None:
    """As `of`; None for what is laid out like a repository. Raises BadInput as `of`."""
    if path.is_file():
        return of(path)
    files = visible_files(path)
    return None if _is_laid_out(path, files) else _plain(path, files)


def read_of(path: Path) -> tuple[list[Path], str]:
    """All files that a local corpus may be read from, and what its card says of them, if that counts.

    Raises BadInput as `of`.
    """
    if (found := plain(path)) is not None:
        return found[1], ""
    return existing(file for file in visible_files(path) if not is_prose(file)), description(path)


def opened(file: Path) -> IO[bytes]:
    """A file of lines, decompressed as its name says."""
    if file.suffix.lower() == ".zst":
        import pyarrow  # a third of a second

        return io.BufferedReader(pyarrow.input_stream(str(file), compression="zstd"))
    openers: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    return openers.get(file.suffix.lower(), open)(file, "rb")

"""Corpora in local files: .txt and .md (a document a file), .jsonl, .parquet and .arrow (a document a row).

Read here and not through `load_dataset`, which takes names for patterns, unites the types of all columns, and keeps
what it has read in a cache that it knows by the times of files.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_coding.errors import BadInput
from sparse_coding.files import corpus_files
from sparse_coding.lm.corpora import readers
from sparse_coding.lm.corpora.documents import Documents, split

if TYPE_CHECKING:
    from datasets import IterableDataset


@dataclass(frozen=True)
class Files:
    """Files of one kind, in order: a part of a corpus, and each file a shard of it. See `parts.Part`."""

    kind: str
    files: list[Path]
    text_field: str
    column: str = "text"

    def texts(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The documents of these rows that hold more than blanks. Raises BadInput as `readers.texts`."""
        return (text for text in islice(self._rows(), start, stop) if text is not None and text.strip())

    def n_rows(self) -> int:
        """All rows, by reading them."""
        return sum(1 for _ in self._rows())

    def stream(self) -> "IterableDataset":
        """The documents, read when they are asked for, in a column `text`."""
        from datasets import IterableDataset  # a second to import, and most runs do without it

        given = {"files": self.files, "kind": self.kind, "text_field": self.text_field}
        return IterableDataset.from_generator(_documents, gen_kwargs=given)

    def _rows(self) -> Iterator[str | None]:
        return (text for file in self.files for text in readers.texts(file, self.kind, self.text_field))


def of(path: Path, text_field: str) -> Files:
    """The files of a corpus. Raises BadInput as `corpus_files.of`."""
    return Files(*corpus_files.of(path), text_field)


def load(path: Path, text_field: str, held_out_share: float, seed: int) -> Documents:
    """The documents of a file, or of a folder's files in sorted order, split by document.

    Raises BadInput, naming the file, where one cannot be read or lacks the column, and naming `path` where there
    is no text in it or its files are of several kinds.
    """
    found = of(path, text_field)
    texts = list(found.texts())
    if not texts:
        raise BadInput(path, f"{len(found.files)} file(s) and no text in them", corpus_files.WANTED)
    return split(texts, held_out_share, seed, path)


def _documents(files: list[Path], kind: str, text_field: str) -> Iterator[dict[str, str]]:
    """What `datasets` calls with some of the files."""
    yield from ({"text": text} for text in Files(kind, files, text_field).texts())

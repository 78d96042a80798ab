"""Where `load_dictionary` reads: this machine, or another repository, whose files are brought before they are read."""

import os
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from sparse_coding import variants
from sparse_coding.errors import BadInput
from sparse_coding.files import dictionary_files
from sparse_coding.load import recorded
from sparse_coding.load.repository import Repository

Row = dict[str, Any]
Place = str | os.PathLike[str] | None


class Source(Protocol):
    """Folders and files by their names; what these methods give lies on this machine."""

    def name(self, results: str) -> str:
        """A results folder, for messages."""

    def path(self, path: str, results: Place) -> Path:
        """A dictionary, and what is read beside it."""

    def results(self, path: str, results: Place) -> Place:
        """The results folder that a dictionary belongs to, where that is known."""

    def tables(self, results: str) -> Path:
        """A results folder, with its tables of evaluation."""

    def dictionary(self, results: str, row: Row, stale: bool) -> None:
        """Have the dictionary of a row of a table, and what vouches for both."""


@contextmanager
def source(repo: Place, revision: str | None) -> Iterator[Source]:
    """This machine, or a repository at a revision. Raises BadInput where there is none."""
    if repo is None and revision is None:
        yield _Here()
        return
    with Repository("." if repo is None else repo, revision) as there:
        yield _Elsewhere(there)


class _Here:
    """Nothing has to be brought."""

    def name(self, results: str) -> str:
        return results

    def path(self, path: str, results: Place) -> Path:
        return Path(path).expanduser()

    def results(self, path: str, results: Place) -> Place:
        return results

    def tables(self, results: str) -> Path:
        return Path(results).expanduser()

    def dictionary(self, results: str, row: Row, stale: bool) -> None:
        pass


class _Elsewhere:
    """A commit of a repository."""

    def __init__(self, there: Repository) -> None:
        self._there = there

    def name(self, results: str) -> str:
        return f"{self._there.name}: {results}"

    def path(self, path: str, results: Place) -> Path:
        if not self._there.bring(path):
            if not self._there.bring_folder(path):
                raise BadInput(self.name(path), "no such file or folder", "a dictionary of that commit")
            return self._there.folder / path
        self._there.bring(f"{path}.stamp")
        whole = PurePosixPath(posixpath.normpath(path))
        for folder in dict.fromkeys(whole.parents[:2]):
            for name in dictionary_files.BESIDE:
                self._there.bring(str(folder / name))
        self._evaluation(self._results_of(path, results), whole.parent.name, whole.stem, with_table=True)
        return self._there.folder / path

    def results(self, path: str, results: Place) -> Place:
        return self._there.folder / self._results_of(path, results)

    def _results_of(self, path: str, results: Place) -> str:
        return os.fspath(results) if results is not None else posixpath.normpath(posixpath.join(path, "../../.."))

    def tables(self, results: str) -> Path:
        evaluation = posixpath.join(results, "evaluation")
        for site in self._there.names(evaluation):
            self._table(results, site)
        return self._there.folder / results

    def dictionary(self, results: str, row: Row, stale: bool) -> None:
        if not stale:
            recorded.check(self._there, results, row)
        parts = PurePosixPath(row["path"]).parts
        path = posixpath.join(results, *parts[1:]) if parts[0] == "results" else row["path"]
        if not self._there.bring(path):
            raise BadInput(self.name(path), "no such file, though the table of evaluation has it", "a commit with it")
        self._there.bring(f"{path}.stamp")
        self._evaluation(results, row["site"], row["name"])

    def _table(self, results: str, site: str) -> None:
        for name in ("table.parquet", "table.parquet.stamp"):
            self._there.bring(posixpath.join(results, "evaluation", site, name))

    def _evaluation(self, results: str, site: str, name: str, with_table: bool = False) -> None:
        """What was measured and fitted of a dictionary."""
        if results.split("/")[0] == "..":  # a file at the top of a repository is of no results folder
            return
        if with_table:
            self._table(results, site)
        fitted = [f"{each.folder}/{name}.safetensors" for each in variants.BY_NAME.values() if each.folder is not None]
        for file in (f"rows/{name}.json", f"rows/{name}.json.stamp", *fitted):
            self._there.bring(posixpath.join(results, "evaluation", site, file))

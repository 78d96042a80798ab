"""Files of another repository at one commit, those that git has and those that DVC has, brought into the user's cache.

Nothing is written where the repository lies. DVC looks into the repository's own cache where it is a folder here, then
asks its default remote.
"""

import json
import os
import posixpath
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import PurePosixPath
from types import TracebackType
from typing import Any

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.load import cache, remote_inside
from sparse_coding.load.revisions import Git

CHUNK = 1 << 20
Entries = dict[str, dict[str, Any]]  # name in a folder: type, and md5 where DVC has it


class Repository:
    """One commit of a repository, as a context.

    repo: a folder with a git repository, or a URL of one. revision: a commit, branch or tag; without it HEAD. What is
    not committed does not count. Raises BadInput where there is none of these.
    """

    def __init__(self, repo: str | os.PathLike[str], revision: str | None = None) -> None:
        self._open = ExitStack()
        self._git = self._open.enter_context(Git(repo))
        self.commit = self._git.commit(revision)
        self.name = f"{self._git.repo} at {revision or 'HEAD'}"
        self.folder = cache.folder() / "commits" / self.commit
        self._files: Any = None  # DVC's file system, once something is to be read

    def __enter__(self) -> "Repository":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._open.close()

    def bring(self, path: str) -> bool:
        """Have the file, where it lies below `folder`; False where the commit has no such file.

        Raises BadInput where it is not to be had: it was not pushed, or the remote cannot be reached.
        """
        entry = self._entry(path)
        if entry is None or entry["type"] != "file":
            return False
        cache.bring(self.folder / path, entry["md5"], lambda: self._chunks(path), f"{self.name}: {path}")
        return True

    def bring_folder(self, path: str) -> bool:
        """Have all files of a folder, and of those in it; False where there is no such folder."""
        entry = self._entry(path)
        if entry is None or entry["type"] != "directory":
            return False
        for name in self.names(path):
            below = posixpath.join(path, name)
            self.bring(below) or self.bring_folder(below)
        return True

    def names(self, path: str) -> list[str]:
        """What lies in a folder, sorted; nothing where there is none. Raises as `bring`."""
        return sorted(self._entries(_checked(path, self.name)))

    def _entry(self, path: str) -> dict[str, Any] | None:
        whole = PurePosixPath(_checked(path, self.name))
        return self._entries("" if str(whole.parent) == "." else str(whole.parent)).get(whole.name)

    def _entries(self, path: str) -> Entries:
        """Of a folder. It is asked for once: a commit does not change."""
        kept = cache.folder() / "listings" / self.commit / posixpath.join(path, "entries.json")
        try:
            return json.loads(kept.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            pass
        try:
            found = self._reached(path, lambda files: files.ls(path, detail=True, dvcfiles=True))
        except (FileNotFoundError, NotADirectoryError):
            found = []
        entries = {
            posixpath.basename(each["name"]): {"type": each["type"], "md5": each.get("md5")}
            for each in found
            if each["name"].strip("/") != path.strip("/")  # a file gives itself
        }
        write_text(kept, json.dumps(entries, sort_keys=True))
        return entries

    def _chunks(self, path: str) -> Iterator[bytes]:
        with self._reached(path, lambda files: files.open(path, "rb"), OSError) as file:
            while chunk := self._reached(path, lambda _: file.read(CHUNK), OSError):
                yield chunk

    def _reached(self, path: str, ask: Callable[[Any], Any], missing: type[OSError] | None = None) -> Any:
        """What DVC answers. Raises BadInput in the place of its many exceptions, and of those that are `missing`."""
        files = self._opened()
        try:
            return ask(files)
        except (FileNotFoundError, NotADirectoryError) as error:
            if missing is None:
                raise
            raise self._not_given(path, error) from error
        except Exception as error:  # DVC, its stores and their transports have exceptions of their own
            raise self._not_given(path, error) from error

    def _not_given(self, path: str, error: Exception) -> BadInput:
        from dvc.config import NoRemoteError

        reason = " ".join(str(error.__cause__ or error).split())[:300]
        remote = "no DVC remote" if isinstance(error, NoRemoteError) else f"nothing on its DVC remote ({reason})"
        wanted = "what its dvc.lock names: `dvc push` there, and a way to the remote"
        return BadInput(f"{self.name}: {path}", remote, wanted)

    def _opened(self) -> Any:
        """DVC's file system of the commit. Raises BadInput where there is no DVC in it."""
        if self._files is None:
            from dvc.api import DVCFileSystem

            root = str(self._git.folder(self.commit))
            files = self._made(DVCFileSystem, root)
            if files.repo.dvc_dir is None:
                raise BadInput(f"repository {self.name}", "no DVC (no .dvc in it)", "one that keeps its results by DVC")
            if (inside := remote_inside.path_of(files.repo)) is not None:
                url = self._open.enter_context(remote_inside.exported(files.repo, inside))
                files = self._made(DVCFileSystem, root, remote_config={"url": str(url)})
            self._files = files
        return self._files

    def _made(self, kind: Callable[..., Any], root: str, **options: Any) -> Any:
        try:
            files = kind(root, rev=self.commit, **options)
            self._open.callback(files.repo.close)
        except Exception as error:  # of its own kinds again
            reason = " ".join(str(error).split())[:300]
            raise BadInput(
                f"repository {self.name}", f"none that DVC can read ({reason})", "a DVC repository"
            ) from error
        return files


def _checked(path: str, name: str) -> str:
    """The path, without what says nothing. Raises BadInput for one that leads out of the repository."""
    whole = posixpath.normpath(path)
    if posixpath.isabs(whole) or whole.split("/")[0] == "..":
        raise BadInput(f"{name}: {path}", "a path that leads out of the repository", "one inside it")
    return "" if whole == "." else whole

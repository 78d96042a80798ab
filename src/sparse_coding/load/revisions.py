"""Commits of git repositories, through git itself: which one is meant, and a folder that holds it."""

import os
import re
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from sparse_coding.errors import BadInput

WANTED = "a folder with a git repository, or the URL of one that git can reach"
_COMMIT = re.compile(r"[0-9a-f]{40}")
# No prompt: nobody may be there to answer. Credential helpers and agents of ssh work as ever.
_ASKS_NOBODY = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
# Those of a git command or hook that called us speak of another repository.
_OF_A_CALLER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX")


class Failed(Exception):
    """A git command that did not end well; its words in one line."""


class Git:
    """A git repository: in the folder where it lies, or fetched for as long as this context is open.

    repo: a folder, or a URL as git takes it.
    """

    def __init__(self, repo: str | os.PathLike[str]) -> None:
        path = Path(repo).expanduser()
        self.repo = str(path) if path.exists() else os.fspath(repo)
        self._here = Path(os.path.abspath(path)) if (path / ".git").exists() else None
        self._temporary = ExitStack()
        self._fetched: Path | None = None

    def __enter__(self) -> "Git":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._temporary.close()

    def commit(self, revision: str | None) -> str:
        """The commit, 40 digits, that `revision` names; without one that of HEAD.

        A whole commit of a URL is taken as it is, so that no network is needed for what is known of it already. Raises
        BadInput where there is no such repository or revision.
        """
        if self._here is not None:
            return self._parsed(self._here, revision or "HEAD")
        if revision is not None and _COMMIT.fullmatch(revision):
            return revision
        names = {"HEAD"} if revision is None else {f"refs/tags/{revision}", f"refs/heads/{revision}", revision}
        told = self._asked("ls-remote", "--", self.repo, *sorted({*names, *(f"{name}^{{}}" for name in names)}))
        found = {line.partition("\t")[2]: line.partition("\t")[0] for line in told.splitlines()}
        for name in ("HEAD",) if revision is None else (f"refs/tags/{revision}", f"refs/heads/{revision}", revision):
            for exact in (f"{name}^{{}}", name):  # the commit of an annotated tag, not the tag
                if exact in found:
                    return found[exact]
        return self._parsed(self._whole(), revision or "HEAD")

    def folder(self, commit: str) -> Path:
        """A repository that has the commit. Raises BadInput where it is not there."""
        if self._here is not None:
            return self._here
        if self._fetched is not None:
            return self._fetched
        folder = self._empty()
        try:
            _git("-C", str(folder), "fetch", "--quiet", "--depth", "1", "--", self.repo, commit)
        except Failed:  # not every server gives a commit by its digits
            folder = self._whole()
        self._parsed(folder, commit)
        self._fetched = folder
        return folder

    def _whole(self) -> Path:
        """All branches and tags, fetched."""
        if self._fetched is None:
            folder = self._empty()
            self._asked("-C", str(folder), "fetch", "--quiet", "--", self.repo, "+refs/heads/*:refs/heads/*",
                        "+refs/tags/*:refs/tags/*", "HEAD")  # fmt: skip
            self._fetched = folder
        return self._fetched

    def _empty(self) -> Path:
        folder = Path(self._temporary.enter_context(tempfile.TemporaryDirectory(prefix="sparse_coding-")))
        self._asked("init", "--quiet", "--initial-branch=nothing", "--", str(folder))
        return folder

    def _parsed(self, folder: Path, revision: str) -> str:
        try:
            return _git(
                "-C", str(folder), "rev-parse", "--verify", "--end-of-options", f"{revision}^{{commit}}"
            ).strip()
        except Failed as error:
            if "unknown revision" in str(error) or "Needed a single revision" in str(error):
                wanted = "a commit, branch or tag of it"
                raise BadInput(f"repository {self.repo}", f"no revision {revision}", wanted) from error
            raise BadInput(f"repository {self.repo}", f"no answer from git ({error})", WANTED) from error

    def _asked(self, *words: str) -> str:
        try:
            return _git(*words)
        except Failed as error:
            raise BadInput(f"repository {self.repo}", f"none that git can read ({error})", WANTED) from error


def _git(*words: str) -> str:
    """What git says. Raises Failed, and BadInput where there is no git."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_A_CALLER} | _ASKS_NOBODY
    try:
        done = subprocess.run(
            ["git", *words], capture_output=True, text=True, errors="replace", env=environment,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise BadInput("git", "no such program", "git, to read a dictionary of a repository") from None
    if done.returncode != 0:
        raise Failed(" ".join(done.stderr.split())[:300] or f"git ended with {done.returncode}")
    return done.stdout

"""A DVC remote that is a folder of the repository itself, as git has it at the commit.

DVC resolves the path of such a remote against the working tree, which holds what the present commit uses, or, in the
file system of a commit, against the root of this machine. What an earlier commit uses lies in that commit.
"""

import posixpath
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_SCHEME = re.compile(r"\w+://")


def path_of(repo: Any) -> str | None:
    """Where the default remote lies in the commit that `repo`, a dvc.repo.Repo, is opened at; None where elsewhere."""
    from dvc.config import Config

    name = repo.config["core"].get("remote")
    config = posixpath.join(repo.dvc_dir, "config")
    if name is None or not repo.fs.exists(config):
        return None
    url = Config.load_file(config, fs=repo.fs).get("remote", {}).get(name, {}).get("url")
    if url is None or _SCHEME.match(url) or url.startswith(("/", "~")):
        return None
    inside = posixpath.normpath(posixpath.join(posixpath.relpath(repo.dvc_dir, repo.root_dir), url))
    is_there = inside.split("/")[0] != ".." and repo.fs.isdir(posixpath.join(repo.root_dir, inside))
    return inside if is_there else None


@contextmanager
def exported(repo: Any, inside: str) -> Iterator[Path]:
    """That folder of the commit as a folder of this machine, for as long as the context is open."""
    source = posixpath.join(repo.root_dir, inside)
    with tempfile.TemporaryDirectory(prefix="sparse_coding-") as folder:
        for path in repo.fs.find(source):
            target = Path(folder, posixpath.relpath(path, source))
            target.parent.mkdir(parents=True, exist_ok=True)
            with repo.fs.open(path, "rb") as file:
                target.write_bytes(file.read())
        yield Path(folder)

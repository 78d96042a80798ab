"""Artifacts that DVC has in its cache: those of the version that dvc.lock names.

What was deleted or replaced in a checkout comes back from there, by key like from the store. DVC itself brings whole
stages back, with what of them is right. Read only, through DVC's own classes, which take no lock for it.
"""

import os
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from sparse_coding.atomic import whole_file
from sparse_coding.errors import BadInput
from sparse_coding.workflow import stamps
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.stamps import Stamp

LOCK = "dvc.lock"


class Versioned:
    """What dvc.lock names in the checkout `root`."""

    def __init__(self, root: Path, hashes: Hashes) -> None:
        self.root, self.hashes = root, hashes

    def holds(self, artifact: str, key: str) -> Stamp | None:
        """The stamp of an artifact of which the cache has the version `key`, whole; None where it has not.

        DVC does not look at what lies in its cache before it uses it: bytes are held against the stamp.
        """
        place = self._place(stamps.path_of(artifact))
        try:
            stamp = stamps.read(place) if place is not None else None
        except BadInput:
            return None
        if stamp is None or stamp.key != key or not stamp.is_whole or stamp.artifact != artifact:
            return None
        places = [self._place(file) for file in stamp.files]
        if None in places:
            return None
        found = self.hashes.of(f"versioned {key}", [os.path.relpath(str(place), self.root) for place in places])
        return stamp if list(found.values()) == list(stamp.files.values()) else None

    def copy(self, stamp: Stamp, folder: Path) -> None:
        """Copy the files of an artifact that the cache holds below `folder`, as they lie below the root."""
        for file in stamp.files:
            with whole_file(folder / file) as temporary:
                shutil.copyfile(str(self._place(file)), temporary)

    def _place(self, file: str) -> Path | None:
        """Where the cache has a file of the checkout."""
        if not any(PurePosixPath(file).is_relative_to(out) for out in self._outs):
            return None
        place = self._cached.get(file)
        return place if place is not None and place.is_file() else None

    @cached_property
    def _outs(self) -> list[str]:
        """The outputs in dvc.lock: most runs ask for files in none of them, and need not wait for DVC."""
        try:
            lock = yaml.safe_load((self.root / LOCK).read_text(encoding="utf-8"))
            return [out["path"] for stage in lock["stages"].values() for out in stage.get("outs", ())]
        except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
            return []  # no version of anything, or a lock that DVC will refuse in words of its own

    @cached_property
    def _cached(self) -> dict[str, Path]:
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        try:
            with Repo(str(self.root)) as repo:
                return {file: path for out in repo.index.outs for file, path in _files(out, self.root.resolve())}
        except (DvcException, OSError):
            return {}


def _files(out: Any, root: Path) -> Iterator[tuple[str, Path]]:
    """Each file of an output of which the cache has the list, and its place there. out: DVC's own object."""
    from dvc_data.hashfile.tree import Tree

    found = out.get_obj() if out.use_cache else None
    top = Path(out.fs_path).relative_to(root).as_posix()
    if isinstance(found, Tree):
        for parts, _, info in found:
            yield "/".join((top, *parts)), Path(out.cache.oid_to_path(info.value))
    elif found is not None:
        yield top, Path(out.cache.oid_to_path(found.hash_info.value))

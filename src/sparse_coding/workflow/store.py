"""The content store: finished artifacts by key, not (or no longer) in the place where the workflow wants them.

An entry is a folder `<store>/<key>` that mirrors the paths of the artifact's files, with its stamp; the stamp is
written last, so an entry with a stamp is whole. Steps put there what they finish before they publish it; artifacts
that params.yaml no longer asks for are parked there; both come back by key.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sparse_coding.atomic import move, whole_file
from sparse_coding.errors import BadInput
from sparse_coding.workflow import stamps
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.stamps import Stamp


class Store:
    """Entries in `folder`, of artifacts whose paths begin at `root`."""

    def __init__(self, root: Path, folder: Path, hashes: Hashes) -> None:
        self.root, self.folder, self.hashes = root, folder, hashes

    def holds(self, key: str) -> Stamp | None:
        """The stamp of a whole entry with this key, whose bytes are those of the stamp; None for anything else."""
        stamp, entry = self._stamp(key), self.folder / key
        if stamp is None or stamp.key != key or not stamp.is_whole:
            return None
        found = self.hashes.of(f"store {key}", [self._inside(entry / file) for file in stamp.files])
        whole = [sha256 == wanted for sha256, wanted in zip(found.values(), stamp.files.values(), strict=True)]
        return stamp if all(whole) else None

    def keep(self, stamp: Stamp, folder: Path) -> None:
        """Move the files of a finished artifact, which lie below `folder` as they will below the root, into the store.

        An older entry of the same key gives way.
        """
        entry = self.folder / stamp.key
        shutil.rmtree(entry, ignore_errors=True)
        for file in stamp.files:
            move(folder / file, entry / file)
        stamps.write(entry / _stamp_name(stamp), stamp)
        self.hashes.remember(
            f"store {stamp.key}", {self._inside(entry / file): sha256 for file, sha256 in stamp.files.items()}
        )

    def publish(self, stamp: Stamp) -> None:
        """Bring a whole entry to where the workflow wants it. The stamp goes last: it vouches for the rest.

        The entry stays whole until then: what a kill in between leaves is published by the next run.
        """
        entry = self.folder / stamp.key
        with _told_of(self.root / _stamp_name(stamp)) as vouching:
            vouching.unlink(missing_ok=True)
        for file in [*stamp.files, _stamp_name(stamp)]:
            _name_again(entry / file, self.root / file)
        shutil.rmtree(entry, ignore_errors=True)
        self.hashes.remember(stamp.artifact, stamp.files)

    def park(self, stamp: Stamp, leave: bool) -> None:
        """Put a second name of a published artifact into the store; without `leave`, take the first one away.

        Where the file system has no second names, the files are copied or moved.
        """
        entry = self.folder / stamp.key
        if self.holds(stamp.key) is None:
            for file in [*stamp.files, _stamp_name(stamp)]:
                _name_again(self.root / file, entry / file)
        if not leave:
            for file in [_stamp_name(stamp), *stamp.files]:
                (self.root / file).unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget all entries."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def entries(self) -> Iterator[tuple[Stamp | None, int]]:
        """The stamp of each entry (None: not whole) and its size in bytes."""
        for entry in sorted(self.folder.glob("*/")):
            size = sum(file.lstat().st_size for file in entry.rglob("*") if file.is_file())
            yield self._stamp(entry.name), size

    def stamp(self, key: str) -> Stamp | None:
        """What an entry was made from, its bytes unchecked; None where there is no such entry."""
        return self._stamp(key)

    def _stamp(self, key: str) -> Stamp | None:
        for path in sorted((self.folder / key).rglob("*.stamp")):
            try:
                return stamps.read(path)
            except BadInput:
                return None
        return None

    def _inside(self, path: Path) -> str:
        return os.path.relpath(path, self.root)


def _name_again(source: Path, target: Path) -> None:
    """Give a file a second name; where the file system has none, copy it. It appears there whole.

    Raises FileNotFoundError where there is no `source`, and BadInput where `target` cannot be written.
    """
    temporary = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with _told_of(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.unlink(missing_ok=True)
            if _is_linked(source, temporary):
                os.replace(temporary, target)
            else:
                with whole_file(target) as copy:
                    shutil.copy2(source, copy)
    finally:
        with suppress(OSError):
            temporary.unlink()  # also where both names were one file's before


@contextmanager
def _told_of(target: Path) -> Iterator[Path]:
    """Raise BadInput where `target` turns out not to be a place that can be written."""
    try:
        yield target
    except FileNotFoundError:
        raise
    except OSError as error:
        found = "a folder" if target.is_dir() else f"a place that cannot be written ({error.strerror})"
        raise BadInput(target, found, "room for the file") from None


def _is_linked(source: Path, target: Path) -> bool:
    """Give a file a second name; False where that cannot be, for a want of such names or of permission."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True


def _stamp_name(stamp: Stamp) -> str:
    return stamps.path_of(stamp.artifact)

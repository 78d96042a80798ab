"""SHA-256 of files, remembered for as long as a file's size, times and inode stay the same.

The memory is a folder of small JSON files, one for each group of files that are asked for together. They appear
whole, so any number of processes may read and write them without a lock; whoever finds none hashes again.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

Signature = list[int]
SETTLED_SECONDS = 0.1  # a file that was changed a moment ago may be changed again within one tick of its clock


class Hashes:
    """Digests of files below `root`, remembered in `folder`."""

    def __init__(self, root: Path, folder: Path) -> None:
        self.root, self.folder = root, folder

    def of(self, group: str, files: Iterable[str]) -> dict[str, str | None]:
        """The SHA-256 of each of `files` (paths from the root); None where there is no such file."""
        memory = self._memory(group)
        known = _read(memory)
        found: dict[str, str | None] = {}
        entries: dict[str, tuple[Signature, str]] = {}
        for file in files:
            found[file], entry = self._one(file, known.get(file))
            if entry is not None:
                entries[file] = entry
        if entries != known:
            write_memory(memory, entries)
        return found

    def remember(self, group: str, digests: dict[str, str]) -> None:
        """Note digests that the caller knows, of files that it has just moved."""
        write_memory(
            self._memory(group), {file: (signature_of(self.root / file), digest) for file, digest in digests.items()}
        )

    def _memory(self, group: str) -> Path:
        return self.folder / f"{hashlib.sha256(group.encode()).hexdigest()[:32]}.json"

    def _one(self, file: str, known: tuple[Signature, str] | None) -> tuple[str | None, tuple[Signature, str] | None]:
        path = self.root / file
        try:
            signature = signature_of(path)
            if known is not None and known[0] == signature:
                return known[1], known
            with path.open("rb") as opened:
                sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None, None
        return sha256, (signature, sha256) if is_settled(path, signature) else None


def signature_of(path: Path) -> Signature:
    """By what a file is known again without reading it."""
    status = os.stat(path)
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def is_settled(path: Path, signature: Signature) -> bool:
    """Whether what was just read in a file is what its signature, taken before, stands for from now on."""
    changed = max(signature[1], signature[2]) / 1e9
    return time.time() - changed > SETTLED_SECONDS and signature == signature_of(path)


def _read(memory: Path) -> dict[str, tuple[Signature, str]]:
    try:
        return {file: (entry[0], entry[1]) for file, entry in json.loads(memory.read_bytes()).items()}
    except (OSError, ValueError, AttributeError, TypeError, IndexError):  # whatever was written there instead
        return {}


def write_memory(memory: Path, entries: Mapping[str, object]) -> None:
    """Write a JSON file whole, if it can be written: it is only a memory."""
    # Not worth a wait for the disk: what is lost or torn is hashed again.
    temporary = memory.with_name(f".{memory.name}.{os.getpid()}.part")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(entries), encoding="utf-8")
        os.replace(temporary, memory)
    except OSError:
        return

"""Files appear whole or not at all: written under another name, then renamed."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparse_coding.errors import BadInput

FULL = os.strerror(errno.ENOSPC)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; rename it to `path` when the block ends well, remove it otherwise.

    Raises BadInput, naming `path`, where the disk is full, and OSError where it is not writable; what was at
    `path` is kept.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        # Some libraries create private files; a result is as readable as any file the user makes.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        os.replace(temporary, path)
    except Exception as error:
        if FULL in str(error):  # HDF5 and safetensors say so in errors of their own kinds
            raise BadInput(path, f"a full disk ({FULL})", "room for this file; what was there is kept") from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Move a file to `target`, also to another file system; it appears there whole. Raises as `whole_file`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with whole_file(target) as temporary:
            shutil.copyfile(source, temporary)
        source.unlink()


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")

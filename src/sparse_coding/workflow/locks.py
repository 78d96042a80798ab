"""Locks that end with their process, however it ends."""

import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


def take(path: Path) -> TextIO | None:
    """Take a lock for as long as the file that is returned stays open; None where another process holds it."""
    file = _open(path)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def first_free(paths: Sequence[Path], pause: float = 0.2) -> tuple[int, TextIO]:
    """Take the first of these locks that is free, as `take`; look now and then while others hold them all. Which.

    That it waits is said once, on stderr.
    """
    is_said = False
    while True:
        for index, path in enumerate(paths):
            if (file := take(path)) is not None:
                return index, file
        if not is_said:
            print(f"waiting for one of {', '.join(path.name for path in paths)}: others have them all", file=sys.stderr)
            is_said = True
        time.sleep(pause)


def holder(path: Path) -> str:
    """The process that holds, or last held, a lock."""
    return path.read_text(encoding="utf-8").strip() or "unknown"


@contextmanager
def waiting_for(path: Path) -> Iterator[None]:
    """Hold a lock; wait for it first where another process holds it."""
    with _open(path) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _open(path: Path) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a+", encoding="utf-8")

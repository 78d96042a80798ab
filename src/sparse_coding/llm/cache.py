"""Every answer that was ever received, a file each, named by what was asked.

Files are never changed, so folders of several people can be put together by copying, and DVC can version one.
"""

import gzip
import json
import sys
import zlib
from pathlib import Path
from typing import Any

from sparse_coding.atomic import whole_file
from sparse_coding.llm.inside import error_in

Kept = dict[str, Any]


class Cache:
    """The folder. It holds questions and answers; no key and no header ever enters it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Kept | None:
        """What was kept under `key`; None where nothing was, or where the file is damaged (it is written anew).

        An error that an earlier version kept as an answer is none.
        """
        path = self._path(key)
        try:
            kept = _whole(path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        if kept is None:
            print(f"{path}: a damaged answer; it is asked for again", file=sys.stderr)
        return _answered(kept)

    def put(self, key: str, kept: Kept) -> None:
        """Keep it, whole."""
        with whole_file(self._path(key)) as temporary:  # probabilities are long, and much alike
            temporary.write_bytes(gzip.compress(json.dumps(kept).encode(), compresslevel=6, mtime=0))

    def first(self, key: str, kept: Kept) -> Kept:
        """Keep it, unless another process did so first; what is kept now, for all to use the same."""
        path = self._path(key)
        before = _answered(_whole(path.read_bytes())) if path.exists() else None
        if before is None:
            self.put(key, kept)
        return before or kept

    def forget(self, key: str) -> None:
        """Keep it no longer: the same question is asked anew."""
        self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json.gz"


def _whole(content: bytes) -> Kept | None:
    try:
        kept = json.loads(gzip.decompress(content))
    except (ValueError, OSError, EOFError, zlib.error):
        return None
    return kept if isinstance(kept, dict) and isinstance(kept.get("answer"), dict) else None


def _answered(kept: Kept | None) -> Kept | None:
    return None if kept is None or error_in(kept["answer"]) is not None else kept

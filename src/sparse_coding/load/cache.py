"""What was read of repositories stays in a folder of the user: by content, and as the folders of a commit.

`files/` holds each content once, by its MD5, as DVC names it. `commits/<commit>/` has the files of a commit where they
lie in its repository, as links to these; `listings/<commit>/` says which there are.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import platformdirs

from sparse_coding.atomic import whole_file
from sparse_coding.errors import BadInput

PLACE = "SPARSE_CODING_CACHE"  # the variable of the environment that names another folder
Chunks = Callable[[], Iterator[bytes]]


def folder() -> Path:
    """The folder of the user; made by who writes into it."""
    return Path(os.environ.get(PLACE) or platformdirs.user_cache_path("sparse_coding")).expanduser().absolute()


def bring(target: Path, md5: str | None, chunks: Chunks, place: str) -> None:
    """Have the file `target`, with content of that MD5; without one, whatever `chunks` gives.

    What is there already is read through, and replaced where it is damaged. Files appear whole or not at all. Raises
    BadInput, naming `place`, for content of another MD5, and what `chunks` raises.
    """
    if md5 is None:
        if not target.is_file():
            _write(target, None, chunks, place)
        return
    if _is_whole(target, md5):
        return
    content = folder() / "files" / md5[:2] / md5[2:]
    if not _is_whole(content, md5):
        _write(content, md5, chunks, place)
    with whole_file(target) as temporary:
        temporary.unlink(missing_ok=True)
        with suppress(OSError):  # another file system, or one without links
            os.link(content, temporary)
            return
        shutil.copyfile(content, temporary)


def _write(path: Path, md5: str | None, chunks: Chunks, place: str) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with whole_file(path) as temporary:
        with open(temporary, "wb") as file:
            for chunk in chunks():
                digest.update(chunk)
                file.write(chunk)
        if md5 is not None and digest.hexdigest() != md5:
            raise BadInput(place, f"content of MD5 {digest.hexdigest()}, so it is damaged", f"{md5}, as DVC names it")


def _is_whole(path: Path, md5: str) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == md5

"""A folder that appears whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparse_coding.errors import BadInput


def check_is_new(output: Path) -> None:
    """Raise BadInput where there is something at `output`."""
    if os.path.lexists(output):
        raise BadInput(output, "something", "a folder that is not there yet")


@contextmanager
def whole_folder(output: Path) -> Iterator[Path]:
    """Give a temporary folder beside `output`; rename it to `output` when the block ends well, else remove it.

    Raises BadInput where there is something at `output`, at the beginning or at the end.
    """
    check_is_new(output)
    there = next(each for each in output.absolute().parents if each.is_dir())  # others are made at the end
    folder = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=there))
    try:
        yield folder
        umask = os.umask(0)
        os.umask(umask)
        for file in (folder, *folder.rglob("*")):  # some libraries make private files
            os.chmod(file, (0o777 if file.is_dir() else 0o666) & ~umask)
        check_is_new(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        os.rename(folder, output)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise

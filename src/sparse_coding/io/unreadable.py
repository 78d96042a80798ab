"""What is said of a path that cannot be read as what was wanted.

Nothing here advises to remove it: what lies there may be somebody's, and a run replaces what is ours by itself.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from sparse_coding.errors import BadInput


@dataclass(frozen=True)
class Format:
    """A file format, and how its files begin."""

    name: str
    begins: re.Pattern[bytes]


SAFETENSORS = Format("safetensors", re.compile(rb".{8}\{", re.DOTALL))  # the length of the header, the header
HDF5 = Format("HDF5", re.compile(rb"\x89HDF\r\n\x1a\n"))
PARQUET = Format("Parquet", re.compile(rb"PAR1"))
_LONGEST = 9


def check_is_file(path: Path, wanted: str) -> None:
    """Raise BadInput, with what was `wanted`, unless a file is there."""
    if path.is_dir():
        raise BadInput(path, "a folder", wanted)
    if not path.exists():
        raise BadInput(path, "no such file", wanted)
    if not path.is_file():  # a pipe or a device: to open it might wait for ever
        raise BadInput(path, "no regular file", wanted)


def what_is(path: Path, wanted: Format, error: Exception) -> str:
    """What a file is that `error` came from when it was read: a damaged one of that format, or none."""
    try:
        with open(path, "rb") as file:
            first = file.read(_LONGEST)
    except OSError as unread:
        return f"a file that cannot be opened ({unread.strerror})"
    if not first:
        return "an empty file"
    if wanted.begins.match(first) is None:
        return f"a file that is no {wanted.name} file"
    return f"a damaged file ({' '.join(str(error).split())})"

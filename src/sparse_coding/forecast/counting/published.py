"""How many features a dictionary has that was trained elsewhere, by the heads of its files: no tensor is read.

Its largest tensor is a matrix of a row a feature; which one that is, and how it is stored, says its format alone.
"""

import ast
import json
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.files import dictionary_files
from sparse_coding.forecast.counting import safetensors_head
from sparse_coding.settings import hub_lock
from sparse_coding.settings.params import PublishedDictionary

FLOAT = 4
MATRICES = 2  # of a row a feature
NPY_BEGINS = b"\x93NUMPY"


def features(one: PublishedDictionary, made: Path, width: int) -> int:
    """Features of vectors of `width` dimensions; made: our file, if it is there already.

    Raises BadInput where nothing that is here says how large it is.
    """
    path = Path(one.path).expanduser()
    place = f"published: {one.path}"
    if path.exists():
        numbers = max((_largest(file) for file in dictionary_files.of(path / (one.inside or ""))), default=0)
    elif made.is_file():
        numbers = _largest(made)
    elif (size := hub_lock.bytes_of(one)) is not None:
        numbers = size // FLOAT // MATRICES
    else:
        raise BadInput(place, "on a hub, of a size that is not known here", "`sparse_coding lock`, which asks for it")
    if not numbers:
        raise BadInput(place, "no tensors", "the files of a dictionary")
    return max(1, numbers // width)


def _largest(file: Path) -> int:
    """Numbers of the largest tensor; 0 where there is none that can be told."""
    with suppress(OSError, ValueError, zipfile.BadZipFile, struct.error, SyntaxError):
        if file.suffix == ".safetensors":
            head = safetensors_head.read(file)
            return max((_product(shape) for shape in head.shapes.values()), default=0) * (2 if _is_signed(file) else 1)
        if file.suffix == ".npz":
            with zipfile.ZipFile(file) as archive:
                return max((_of_npy(archive, name) for name in archive.namelist()), default=0)
        if file.suffix in (".pt", ".pth"):  # numbers as they are stored, of float32 as nearly all are
            if not zipfile.is_zipfile(file):
                return file.stat().st_size // FLOAT // MATRICES
            with zipfile.ZipFile(file) as archive:
                return max((entry.file_size // FLOAT for entry in archive.infolist()), default=0)
    return 0


def _of_npy(archive: zipfile.ZipFile, name: str) -> int:
    """https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html: its shape is in its head."""
    with archive.open(name) as file:
        if file.read(6) != NPY_BEGINS:
            return 0
        major = file.read(2)[0]
        (length,) = struct.unpack("<H", file.read(2)) if major == 1 else struct.unpack("<I", file.read(4))
        return _product(ast.literal_eval(file.read(min(length, 1 << 16)).decode())["shape"])


def _is_signed(file: Path) -> bool:
    """Whether a file of ours holds each direction once, of two."""
    with file.open("rb") as opened:
        (length,) = struct.unpack("<Q", opened.read(8))
        told = json.loads(opened.read(length)).get("__metadata__", {}).get("sparse_coding", "{}")
    return bool(json.loads(json.loads(told).get("dictionary", "{}")).get("signed"))


def _product(shape: tuple[int, ...]) -> int:
    found = 1
    for each in shape:
        found *= each
    return found

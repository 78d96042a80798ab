"""How many vectors of how many dimensions a folder of imported ones holds: from the heads of its files.

By hand: numpy and safetensors would be imported at each parse of the Snakefile.
"""

import ast
import struct
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.files import vector_files
from sparse_coding.forecast.counting import safetensors_head

_NPY = b"\x93NUMPY"


def rows_and_width(folder: str) -> tuple[int, int]:
    """Vectors of all files, and their dimensions. Raises BadInput where no file says so without being read whole."""
    shapes = [shape for path in vector_files.of(Path(folder)) for shape in _shapes(path)]
    whole = [shape for shape in shapes if len(shape) == 2]
    if not whole:
        raise BadInput(folder, "no .npy or .safetensors with a shape [row, d_act]", "some, to forecast their size")
    return sum(shape[0] for shape in whole), whole[0][1]


def _shapes(path: Path) -> list[tuple[int, ...]]:
    try:
        if path.suffix.lower() == ".npy":
            return [_npy(path)]
        if path.suffix.lower() == ".safetensors":
            return list(safetensors_head.read(path).shapes.values())
    except (ValueError, SyntaxError, LookupError, TypeError, AttributeError, OverflowError, MemoryError, struct.error):
        pass  # the step that reads it says what is wrong
    return []


def _npy(path: Path) -> tuple[int, ...]:
    with path.open("rb") as file:
        start = file.read(8)
        if start[:6] != _NPY:
            raise ValueError(path)
        size = struct.unpack("<H", file.read(2))[0] if start[6] == 1 else struct.unpack("<I", file.read(4))[0]
        return tuple(ast.literal_eval(file.read(size).decode("latin-1").strip())["shape"])

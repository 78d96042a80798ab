"""The head of a safetensors file, which says what is in it. By hand, because the library would import numpy.

https://github.com/huggingface/safetensors#format: eight bytes with the length of the head, the head as JSON, the data.
"""

import json
import struct
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Head:
    """shapes: of each tensor; size, wanted: bytes of the file, and how many it has if it is whole."""

    shapes: dict[str, tuple[int, ...]]
    size: int
    wanted: int


def read(path: Path) -> Head:
    """Read the head of `path`. Raises ValueError where it is no safetensors file, OSError where it cannot be read."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > size:
                raise ValueError("a head longer than the file")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        shapes = {name: tuple(map(int, entry["shape"])) for name, entry in header.items()}
        end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
        return Head(shapes, size, 8 + length + end)
    except (KeyError, TypeError, AttributeError, IndexError, struct.error) as error:
        raise ValueError(error) from None

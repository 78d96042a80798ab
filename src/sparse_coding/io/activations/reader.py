"""Reading activations through a memory map, each block checked when it is first touched."""

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparse_coding.errors import BadInput
from sparse_coding.io.activations.layout import (
    FORMAT,
    SPLITS,
    STORED_DTYPES,
    Header,
    SplitName,
    as_torch,
    attributes,
    checksum,
    seal,
)
from sparse_coding.io.unreadable import HDF5, check_is_file, what_is
from sparse_coding.portions.storing import COLUMNS

_WANTED = "an activations file that sparse_coding wrote"
_AGAIN = "the bytes that were written; make the file again"


class Split:
    """The vectors of one split and where each came from, memory-mapped."""

    def __init__(self, place: str, header: Header, arrays: dict[str, NDArray[Any]]) -> None:
        self.n_rows, self.n_blocks, self.d_act = len(arrays["vectors"]), len(arrays["checksum"]), header.d_act
        self._place, self._header, self._arrays = place, header, arrays
        self._vectors = as_torch(arrays["vectors"], header.dtype)
        self._verified = np.zeros(self.n_blocks, bool)

    def read(self, start: int, stop: int) -> Tensor:
        """Rows `start` to `stop`, float32 [row, d_act]: a copy.

        Raises BadInput, naming file, split and block, where the bytes are not those that were written; a block is
        checked when it is first touched. Raises IndexError beyond the rows that there are.
        """
        rows = torch.empty(max(0, stop - start), self.d_act)
        self.read_into(rows, start, stop)
        return rows

    def read_into(self, rows: Tensor, start: int, stop: int) -> None:
        """Copy rows `start` to `stop` into `rows` [row, d_act], in its number format. Raises as `read`."""
        if not 0 <= start <= stop <= self.n_rows:
            raise IndexError(f"{self._place}: rows {start} to {stop} of {self.n_rows}")
        self._verify(start, stop)
        rows.copy_(self._vectors[start:stop])

    def rows(self, indices: Tensor) -> Tensor:
        """The rows of these indices [row], float32 [row, d_act]: a copy. Raises as `read`."""
        if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < self.n_rows:
            raise IndexError(f"{self._place}: rows {indices.min()} to {indices.max()} of {self.n_rows}")
        size = self._header.block_rows
        for block in (indices // size).unique().tolist():
            self._verify(block * size, block * size + 1)
        return self._vectors[indices].float()

    def check_same_rows(self, other: "Split") -> None:
        """Raise BadInput where a row is not of the same token as that row of `other`.

        The bytes of tokens, documents and positions are checked with those of the vectors, when these are read.
        """
        if self.n_rows != other.n_rows:
            raise BadInput(other._place, f"{other.n_rows} vectors", f"{self.n_rows}, as {self._place} has")
        for name in COLUMNS:
            if not np.array_equal(self._arrays[name], other._arrays[name]):
                raise BadInput(other._place, f"another {name} than {self._place} has", "vectors of the same tokens")

    @property
    def dtype(self) -> torch.dtype:
        """The number format of the vectors in the file."""
        return self._vectors.dtype

    @property
    def token(self) -> NDArray[np.int32]:
        """Token id of each row, [row]. Raises BadInput as `read`; so do the other two."""
        return self._column("token")

    @property
    def document(self) -> NDArray[np.int32]:
        """Index of each row's document, [row]."""
        return self._column("document")

    @property
    def position(self) -> NDArray[np.int32]:
        """Position of each row in its block of tokens, [row]."""
        return self._column("position")

    def _column(self, name: str) -> NDArray[np.int32]:
        self._verify(0, self.n_rows)
        return self._arrays[name].copy()

    def _verify(self, start: int, stop: int) -> None:
        size = self._header.block_rows
        for block in range(start // size, math.ceil(stop / size)):
            if self._verified[block]:
                continue
            rows = slice(block * size, (block + 1) * size)
            if (
                checksum(*(self._arrays[name][rows] for name in ("vectors", *COLUMNS)))
                != self._arrays["checksum"][block]
            ):
                raise BadInput(f"{self._place}: block {block}", "bytes that were changed", _AGAIN)
            self._verified[block] = True


@dataclass(frozen=True, kw_only=True, eq=False)
class ActivationsFile(Header):
    """An open activations file. mean: [d_act] float32, of train; mean_norm: mean over train of ||x - mean||."""

    path: Path
    mean: Tensor
    mean_norm: float
    splits: dict[SplitName, Split] = field(repr=False)

    def split(self, name: SplitName) -> Split:
        """The split called `name`. Raises BadInput where the file has none."""
        if name not in self.splits:
            raise BadInput(self.path, f"splits {', '.join(self.splits)}", f"a split {name}")
        return self.splits[name]


@contextmanager
def open_activations(path: Path) -> Iterator[ActivationsFile]:
    """Open activations for reading. Raises BadInput where the file is missing, cut short, changed or foreign.

    And where its vectors do not vary. Vectors are checked later, block by block, as they are read.
    """
    check_is_file(path, _WANTED)
    try:
        with h5py.File(path, "r") as file:
            header, mean_norm = _header(path, file)
            layouts = {name: _layout(path, file, name, header) for name in SPLITS if name in file}
            if "train" not in layouts:
                raise BadInput(path, "no split train", _WANTED)
            mean = torch.from_numpy(_dataset(path, file, "mean", (header.d_act,), "<f4")[:])
            if file.attrs.get("seal") != seal(file):
                raise BadInput(path, "a header, mean or checksum that was changed", _AGAIN)
    except (OSError, RuntimeError, KeyError) as error:
        raise BadInput(path, what_is(path, HDF5, error), f"{_WANTED}, not cut short") from None
    with open(path, "rb") as raw:
        # Copy on write: torch asks for writable memory, and no write can reach the file.
        memory = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_COPY)
    splits = {}
    for name, layout in layouts.items():
        arrays = {key: np.ndarray(shape, dtype, memory, at) for key, (shape, dtype, at) in layout.items()}
        splits[name] = Split(f"{path}: {name}", header, arrays)
    yield ActivationsFile(**asdict(header), path=path, mean=mean, mean_norm=mean_norm, splits=splits)


def _header(path: Path, file: h5py.File) -> tuple[Header, float]:
    known = attributes(file)
    if known.get("format") != FORMAT:
        raise BadInput(path, f"format {known.get('format')!r}", repr(FORMAT))
    try:
        header = Header(**{each.name: known[each.name] for each in fields(Header) if each.name in known})  # type: ignore[arg-type]
        mean_norm = float(known["mean_norm"])
    except (TypeError, KeyError, ValueError) as error:
        raise BadInput(path, f"an incomplete header ({error})", _WANTED) from None
    if header.dtype not in STORED_DTYPES or header.block_rows < 1:
        raise BadInput(path, f"dtype {header.dtype!r}, block_rows {header.block_rows}", _WANTED)
    if not 0 < mean_norm < math.inf:  # an earlier version wrote such files
        raise BadInput(path, f"vectors of {header.site} that do not vary", "vectors that differ from one another")
    return header, mean_norm


def _layout(path: Path, file: h5py.File, split: str, header: Header) -> dict[str, tuple[tuple[int, ...], str, int]]:
    """Shape, dtype and place in the file of each dataset of a split, all of them as many rows as `vectors`."""
    vectors = file.get(f"{split}/vectors")
    n_rows = vectors.shape[0] if isinstance(vectors, h5py.Dataset) and vectors.shape else 0
    wanted: dict[str, tuple[tuple[int, ...], str]] = {"vectors": ((n_rows, header.d_act), STORED_DTYPES[header.dtype])}
    wanted |= {name: ((n_rows,), "<i4") for name in COLUMNS}
    wanted["checksum"] = ((math.ceil(n_rows / header.block_rows),), "<u8")
    return {
        name: (shape, dtype, _dataset(path, file, f"{split}/{name}", shape, dtype).id.get_offset())
        for name, (shape, dtype) in wanted.items()
    }


def _dataset(path: Path, file: h5py.File, name: str, shape: tuple[int, ...], dtype: str) -> h5py.Dataset:
    dataset = file.get(name)
    wanted = f"shape {shape}, {np.dtype(dtype)}, contiguous"
    if not isinstance(dataset, h5py.Dataset):
        raise BadInput(f"{path}: {name}", "no such dataset", wanted)
    if dataset.shape != shape or dataset.dtype != np.dtype(dtype) or dataset.id.get_offset() is None:
        layout = "contiguous" if dataset.chunks is None else "chunked"
        raise BadInput(f"{path}: {name}", f"shape {dataset.shape}, {dataset.dtype}, {layout}", wanted)
    return dataset

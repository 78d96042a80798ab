"""Writing activations in flat memory: a file appears complete, or not at all."""

import math
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sparse_coding.errors import BadInput
from sparse_coding.io.activations.layout import (
    FORMAT,
    STORED_DTYPES,
    TORCH_DTYPES,
    Header,
    SplitName,
    as_torch,
    checksum,
    seal,
)
from sparse_coding.io.activations.rounding import Rounding
from sparse_coding.io.hdf5 import whole_hdf5
from sparse_coding.portions.storing import COLUMNS, PAGE


class ActivationsWriter:
    """Writes the activations of one site, in portions of any size. Use it in a `with` block.

    `rows` says how many vectors each split will have, at least 1; `train` must be among them. The file appears
    when the block ends well; an exception leaves nothing behind. The bytes do not depend on the portions.
    """

    def __init__(self, path: Path, header: Header, rows: dict[SplitName, int]) -> None:
        self.header = header
        self._path, self._rows = path, rows
        self._finished = False

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._file, self._raw = stack.enter_context(
                whole_hdf5(self._path, alignment_threshold=PAGE, alignment_interval=PAGE)
            )
            self._splits = {name: _SplitWriter(self._file, name, self.header, n) for name, n in self._rows.items()}
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            self.finish()

    def append(
        self, split: SplitName, vectors: Tensor, token: ArrayLike, document: ArrayLike, position: ArrayLike
    ) -> None:
        """Add rows to a split; vectors: [row, d_act] float32, the others [row].

        Raises BadInput, naming site, block and token, at a vector that is not finite or too large for the dtype.
        """
        self._splits[split].append(vectors, token, document, position)
        self._raw.check()

    def finish(self) -> None:
        """Complete the file, which appears when the `with` block ends. For several files: finish all, then leave.

        Raises BadInput, naming the site, where its training vectors do not vary, are too small or large to be squared,
        or lose more than a hundredth of their variance by rounding to the dtype.
        """
        if self._finished:
            return
        for split in self._splits.values():
            split.check_complete()
        self._splits["train"].rounding.check()
        mean, mean_norm = self._splits["train"].moments()
        self._file["mean"] = mean.numpy()
        header = {name: value for name, value in asdict(self.header).items() if value is not None}
        self._file.attrs.update({"format": FORMAT, "mean_norm": mean_norm, **header})
        self._file.attrs["seal"] = seal(self._file)
        self._file.close()
        self._raw.check()
        self._finished = True


class _SplitWriter:
    """One split: rows gather in a block, and whole blocks go to the file."""

    def __init__(self, file: h5py.File, name: str, header: Header, n_rows: int) -> None:
        self.place = f"{header.site}: {name}"
        if n_rows < 1:
            raise BadInput(self.place, f"{n_rows} vectors", "at least 1")
        self.header, self.n_rows, self.written, self.filled = header, n_rows, 0, 0
        self.total = torch.zeros(header.d_act, dtype=torch.float64)
        self.rounding = Rounding(self.place, header.dtype, header.d_act)
        size, stored = min(header.block_rows, n_rows), np.dtype(STORED_DTYPES[header.dtype])
        self.block = {"vectors": np.empty((size, header.d_act), stored)}
        self.block |= {column: np.empty(size, "<i4") for column in COLUMNS}
        self.group = file.create_group(name)
        for column, values in self.block.items():
            self.group.create_dataset(column, (n_rows, *values.shape[1:]), values.dtype)
        self.group.create_dataset("checksum", (math.ceil(n_rows / header.block_rows),), "<u8")

    def append(self, vectors: Tensor, token: ArrayLike, document: ArrayLike, position: ArrayLike) -> None:
        columns = {name: np.asarray(c, "<i4") for name, c in zip(COLUMNS, (token, document, position), strict=True)}
        if any(vectors.shape != (*column.shape, self.header.d_act) for column in columns.values()):
            raise ValueError(f"{self.place}: vectors {tuple(vectors.shape)} beside columns of other lengths")
        if self.written + self.filled + len(vectors) > self.n_rows:
            raise ValueError(f"{self.place}: more than the {self.n_rows} vectors that were announced")
        rows = {"vectors": self._stored(vectors, columns), **columns}
        start, n_new, size = 0, len(vectors), len(self.block["token"])
        while start < n_new:
            take = min(n_new - start, size - self.filled)
            for name, values in rows.items():
                self.block[name][self.filled : self.filled + take] = values[start : start + take]
            self.filled, start = self.filled + take, start + take
            if self.filled == size or self.written + self.filled == self.n_rows:
                self._flush()

    def _stored(self, vectors: Tensor, columns: dict[str, NDArray[np.int32]]) -> NDArray[Any]:
        converted = vectors.detach().to(TORCH_DTYPES[self.header.dtype])
        whole = converted.isfinite().all(1)
        if not whole.all():
            self._refuse(vectors, columns, int((~whole).nonzero()[0]))
        self.rounding.add(vectors, converted)
        return converted.view(torch.uint16).numpy() if self.header.dtype == "bfloat16" else converted.numpy()

    def _refuse(self, vectors: Tensor, columns: dict[str, NDArray[np.int32]], row: int) -> None:
        index = self.written + self.filled + row
        token, document, position = (int(columns[name][row]) for name in COLUMNS)
        place = (
            f"{self.place}: block {index // self.header.block_rows}, vector {index}"
            f" (token {token} at position {position}, document {document})"
        )
        largest = float(vectors[row].abs().max())
        if not math.isfinite(largest):
            raise BadInput(place, f"a value that is not finite ({largest})", "finite activations")
        wider = "bfloat16 or float32" if self.header.dtype == "float16" else "float32"
        raise BadInput(place, f"{largest:.4g}, too large for {self.header.dtype}", f"activations.dtype: {wider}")

    def _flush(self) -> None:
        block = {name: values[: self.filled] for name, values in self.block.items()}
        for name, values in block.items():
            self.group[name][self.written : self.written + self.filled] = values
        self.group["checksum"][self.written // self.header.block_rows] = checksum(*block.values())
        self.total += as_torch(block["vectors"], self.header.dtype).float().sum(0, dtype=torch.float64)
        self.written, self.filled = self.written + self.filled, 0

    def check_complete(self) -> None:
        if self.written < self.n_rows:
            raise ValueError(f"{self.place}: {self.written + self.filled} of {self.n_rows} announced vectors")

    def moments(self) -> tuple[Tensor, float]:
        """The mean of the stored vectors, float32, and the mean norm of what is left without it."""
        mean = (self.total / self.n_rows).float()
        norms = 0.0
        for start in range(0, self.n_rows, self.header.block_rows):
            stored = self.group["vectors"][start : start + self.header.block_rows]
            centred = as_torch(stored, self.header.dtype).float() - mean
            norms += float(centred.norm(dim=1).sum(dtype=torch.float64))
        return mean, norms / self.n_rows

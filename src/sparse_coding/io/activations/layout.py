"""What reader and writer of activations agree on: names, number formats, checksums."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FORMAT = "sparse_coding activations 1"
SplitName = Literal["train", "held_out", "fragments"]
SPLITS: tuple[SplitName, ...] = ("train", "held_out", "fragments")
TORCH_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
STORED_DTYPES = {"float16": "<f2", "bfloat16": "<u2", "float32": "<f4"}  # HDF5 has no bfloat16: its bits


@dataclass(frozen=True)
class Header:
    """What is known of activations before the first vector."""

    site: str
    model: str
    corpus: str
    dtype: str
    d_act: int
    block_rows: int
    n_layers: int | None = None  # None where vectors were imported


def as_torch(stored: NDArray[Any], dtype: str) -> Tensor:
    """Stored numbers as a tensor over the same memory."""
    tensor = torch.from_numpy(stored)
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor


def checksum(*arrays: NDArray[Any]) -> int:
    """64 bits of BLAKE2b over the bytes of `arrays`."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return int.from_bytes(digest.digest(), "little")


def attributes(file: h5py.File) -> dict[str, str | int | float]:
    """The attributes of the file as plain Python values."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in file.attrs.items()}


def seal(file: h5py.File) -> str:
    """BLAKE2b over the attributes, the mean, and the shapes and checksums of all splits."""
    sealed = {name: value for name, value in attributes(file).items() if name != "seal"}
    digest = hashlib.blake2b(json.dumps(sealed, sort_keys=True, default=str).encode(), digest_size=16)
    digest.update(file["mean"][:].tobytes())
    for split in sorted(set(file) & set(SPLITS)):
        digest.update(f"{split} {file[split]['vectors'].shape}".encode())
        digest.update(file[split]["checksum"][:].tobytes())
    return digest.hexdigest()

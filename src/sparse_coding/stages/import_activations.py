"""Stage activations, for vectors made elsewhere: a folder of .npy, .safetensors or .pt files becomes one HDF5 file.

1. Look at each file, in natural order (9.pt before 10.pt): arrays [row, d_act], the same d_act everywhere.
2. Hold out the last rows of each file, and some files as a whole where files are short; the others are for training.
3. Copy in portions. Token, document and position of a vector: -1, the index of its file, its row in that file.

A .pt file is what `torch.save(tensor, "0.pt")` wrote, as in the code of Cunningham et al. 2023. It is a pickle, so it
is read with `weights_only`: code in it does not run.
"""

import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor
from tqdm import tqdm

from sparse_coding.errors import BadInput
from sparse_coding.files import vector_files
from sparse_coding.files.lfs import refuse_pointer
from sparse_coding.io.activations import ActivationsWriter, Header, SplitName
from sparse_coding.portions.storing import PORTION_ROWS
from sparse_coding.settings.slices import ImportSlice

NO_TOKEN = -1
NO_MODEL = ""
_WANTED = "a two-dimensional array of floating-point numbers, [row, d_act]"
_WANTED_PT = "one tensor [row, d_act] of floating-point numbers, written by torch.save"
_FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


@dataclass(frozen=True)
class _Source:
    """One array on disk; `read(start, stop)` gives rows as float32.

    `read` opens the file anew: a folder may have more files than a process may hold open.
    """

    place: str
    n_rows: int
    d_act: int
    read: Callable[[int, int], Tensor]


def run(settings: ImportSlice, *, folder: Path, output: Path) -> None:
    """Write the vectors under `folder` as `<output>/<site>.h5`. Raises as `write`."""
    write(settings, folder, output / f"{settings.site}.h5")


def write(settings: ImportSlice, folder: Path, file: Path) -> None:
    """Write the vectors under `folder` as `file`, in the natural order of the files' names.

    Raises BadInput, naming the file, where it is not such an array, its d_act differs from the first file's, or a
    value is not finite or too large for the dtype; where the folder has no file, and where its vectors do not vary,
    lose too much in the dtype, or are too few to hold some out.
    """
    sources = [source for path in vector_files.of(folder) for source in _open(path)]
    for source in sources:
        if source.d_act != sources[0].d_act:
            wanted = f"{sources[0].d_act} as in {sources[0].place}"
            raise BadInput(source.place, f"vectors of {source.d_act} numbers", wanted)
    held_out = _held_out([source.n_rows for source in sources], settings.held_out_share)
    rows: dict[SplitName, int] = {"train": sum(source.n_rows for source in sources) - sum(held_out)}
    if settings.held_out_share and not sum(held_out):
        found = f"{settings.held_out_share:g}, and {rows['train']} vectors in {len(sources)} file(s) of {folder}"
        raise BadInput("dataset.held_out_share", found, "more of them, or a larger share: none would be held out")
    if sum(held_out):
        rows["held_out"] = sum(held_out)
    header = Header(
        site=settings.site,
        model=NO_MODEL,
        corpus=folder.name,
        dtype=settings.activations.dtype,
        d_act=sources[0].d_act,
        block_rows=settings.activations.block_rows,
    )
    with (
        ActivationsWriter(file, header, rows) as writer,
        tqdm(total=sum(rows.values()), desc="import", unit="vector") as bar,
    ):
        for index, (source, n_held_out) in enumerate(zip(sources, held_out, strict=True)):
            first_held_out = source.n_rows - n_held_out
            _copy(source, 0, first_held_out, index, "train", writer, bar)
            _copy(source, first_held_out, source.n_rows, index, "held_out", writer, bar)


def _held_out(rows: list[int], share: float) -> list[int]:
    """How many of the last rows of each file are held out: its share; of files too short for one row, whole files.

    Those lie evenly among the short ones, as many as their share of rows asks for.
    """
    held_out = [round(n * share) for n in rows]
    short = [index for index, n in enumerate(rows) if held_out[index] == 0 and share > 0]
    passed = taken = 0
    for index in short:
        passed += rows[index]
        if taken + rows[index] / 2 <= share * passed:
            held_out[index] = rows[index]
            taken += rows[index]
    return held_out


def _copy(
    source: _Source, first: int, last: int, document: int, split: SplitName, writer: ActivationsWriter, bar: tqdm
) -> None:
    for start in range(first, last, PORTION_ROWS):
        stop = min(start + PORTION_ROWS, last)
        vectors = source.read(start, stop)
        if not vectors.isfinite().all():
            row = start + int((~vectors.isfinite().all(1)).nonzero()[0])
            raise BadInput(f"{source.place}: row {row}", "a value that is not finite", "finite activations")
        size = stop - start
        writer.append(split, vectors, np.full(size, NO_TOKEN), np.full(size, document), np.arange(start, stop))
        bar.update(size)


def _open(path: Path) -> list[_Source]:
    refuse_pointer(path)
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        sources = _open_safetensors(path)
    else:
        sources = [_open_pt(path) if suffix == ".pt" else _open_npy(path)]
    for source in sources:
        if source.n_rows < 1 or source.d_act < 1:
            raise BadInput(source.place, f"shape {[source.n_rows, source.d_act]}", "at least one row and one dimension")
    return sources


def _load_npy(path: Path) -> NDArray[Any]:
    if zipfile.is_zipfile(path):
        raise BadInput(path, "an archive of arrays, as np.savez writes it", f"{_WANTED}, written by np.save")
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(path, f"a file that numpy cannot read ({error})", _WANTED) from None


def _open_npy(path: Path) -> _Source:
    array = _load_npy(path)
    if array.ndim != 2 or array.dtype.kind != "f":
        raise BadInput(path, f"shape {list(array.shape)}, {array.dtype}", _WANTED)

    def read(start: int, stop: int) -> Tensor:
        return torch.from_numpy(np.array(_load_npy(path)[start:stop], dtype=np.float32))

    return _Source(str(path), array.shape[0], array.shape[1], read)


def _load_pt(path: Path) -> Tensor:
    """The tensor in `path`, memory-mapped."""
    try:
        with zipfile.ZipFile(path) as archive:
            compressed = any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist())
    except Exception as error:  # a damaged table of contents raises what it likes: UnicodeDecodeError, struct.error
        raise BadInput(path, f"an old format, or a damaged file ({error})", _WANTED_PT) from None
    if compressed:  # torch would map the compressed bytes and take them for numbers
        raise BadInput(path, "a compressed archive", _WANTED_PT)
    try:
        found = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception:
        # What a pickle may raise has no end. torch's own message advises to run the code, so it is not repeated.
        raise BadInput(path, "something other than a tensor (nothing in it was run)", _WANTED_PT) from None
    if not isinstance(found, Tensor):
        raise BadInput(path, f"a {type(found).__name__}", _WANTED_PT)
    if found.layout != torch.strided or found.is_nested or found.device.type != "cpu":
        raise BadInput(path, f"a tensor of layout {found.layout} on {found.device}", _WANTED_PT)
    return found.detach()


def _open_pt(path: Path) -> _Source:
    tensor = _load_pt(path)
    if tensor.ndim != 2 or tensor.dtype not in _FLOATS:
        raise BadInput(path, f"shape {list(tensor.shape)}, {tensor.dtype}", _WANTED_PT)

    def read(start: int, stop: int) -> Tensor:
        return _load_pt(path)[start:stop].float()

    return _Source(str(path), tensor.shape[0], tensor.shape[1], read)


def _open_safetensors(path: Path) -> list[_Source]:
    try:
        with safe_open(path, framework="pt") as file:
            found = {name: file.get_slice(name) for name in sorted(file.keys(), key=vector_files.natural)}
            shapes = {name: (part.get_shape(), part.get_dtype()) for name, part in found.items()}
    except (OSError, SafetensorError, json.JSONDecodeError) as error:
        raise BadInput(path, f"a file that safetensors cannot read ({error})", _WANTED) from None
    if not shapes:
        raise BadInput(path, "no tensor", _WANTED)
    return [_open_tensor(path, name, shape, dtype) for name, (shape, dtype) in shapes.items()]


def _open_tensor(path: Path, name: str, shape: list[int], dtype: str) -> _Source:
    if len(shape) != 2 or dtype not in ("F64", "F32", "F16", "BF16"):
        raise BadInput(f"{path}: {name}", f"shape {shape}, {dtype}", _WANTED)

    def read(start: int, stop: int) -> Tensor:
        with safe_open(path, framework="pt") as file:
            return file.get_slice(name)[start:stop].float()

    return _Source(f"{path}: {name}", shape[0], shape[1], read)

"""A shuffled, endless stream of normalised batches from an activations file.

Vectors of one document lie side by side in the file. A buffer is filled with chunks drawn from everywhere, its
rows are permuted, and batches are cut from it; what is left over goes into the next buffer.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from sparse_coding.errors import BadInput
from sparse_coding.io.activations import Split

CHUNK_ROWS = 256


def batches(split: Split, *, size: int, seed: int, buffer_rows: int, mean: Tensor, scale: float) -> Iterator[Tensor]:
    """Batches (x - mean) / scale, [size, d_act] float32, for ever; a function of the file and the arguments.

    Every epoch reads each row once, in a new order. Raises BadInput where the file has fewer rows than a batch.
    """
    if split.n_rows < size:
        raise BadInput("dictionaries.batch", str(size), f"at most the {split.n_rows} vectors that there are")
    generator = torch.Generator().manual_seed(seed)
    chunks = _chunks(split.n_rows, generator)
    rest = torch.empty(0, len(mean))
    while True:
        parts, rows = [rest], len(rest)
        while rows < max(buffer_rows, size):
            start = next(chunks)
            parts.append(split.read(start, min(start + CHUNK_ROWS, split.n_rows)))
            rows += len(parts[-1])
        buffer = torch.cat(parts)[torch.randperm(rows, generator=generator)]
        whole = rows - rows % size
        for start in range(0, whole, size):
            yield (buffer[start : start + size] - mean) / scale
        rest = buffer[whole:]


def _chunks(n_rows: int, generator: torch.Generator) -> Iterator[int]:
    starts = torch.arange(0, n_rows, CHUNK_ROWS)
    while True:
        yield from starts[torch.randperm(len(starts), generator=generator)].tolist()

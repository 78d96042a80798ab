"""A shuffled, endless stream of normalised batches from an activations file.

Vectors of one document lie side by side in the file. A buffer is filled with chunks drawn from everywhere, batches
are drawn from it in random order, and what is left over goes into the next one. One thread does all this ahead of
the reader. In memory: one buffer in the stored number format, `buffer_rows` vectors and a chunk more (at least a
batch), beside `AHEAD` finished batches in float32.
"""

from collections.abc import Generator, Iterator
from contextlib import closing
from queue import SimpleQueue
from threading import Semaphore, Thread

import torch
from torch import Tensor

from sparse_coding.errors import BadInput
from sparse_coding.io.activations import Split

CHUNK_ROWS = 256
AHEAD = 32  # at 60 batches a second half a second, in which a buffer is filled


def batches(split: Split, *, size: int, seed: int, buffer_rows: int, mean: Tensor, scale: float) -> Iterator[Tensor]:
    """Batches (x - mean) / scale, [size, d_act] float32, for ever; a function of the file and the arguments.

    Every epoch reads each row once, in a new order. Close the stream to end its thread, or let go of it. Raises
    BadInput where the file has fewer rows than a batch, and what `Split.read` raises.
    """
    if split.n_rows < size:
        raise BadInput("dictionaries.batch", str(size), f"at most the {split.n_rows} vectors that there are")
    with closing(_ahead(_drawn(split, size, seed, buffer_rows, mean, scale))) as made_ahead:
        yield from made_ahead


def _drawn(split: Split, size: int, seed: int, buffer_rows: int, mean: Tensor, scale: float) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    chunks = _chunks(split.n_rows, generator)
    buffer = torch.empty(max(buffer_rows, size) + CHUNK_ROWS, len(mean), dtype=split.dtype)
    rows = 0
    while True:
        while rows < max(buffer_rows, size):
            start = next(chunks)
            stop = min(start + CHUNK_ROWS, split.n_rows)
            split.read_into(buffer[rows : rows + stop - start], start, stop)
            rows += stop - start
        order = torch.randperm(rows, generator=generator)
        whole = rows - rows % size
        for start in range(0, whole, size):
            # index_select: four times as fast as brackets, in half precision.
            drawn = buffer.index_select(0, order[start : start + size])
            yield drawn.float().sub_(mean).div_(scale)
        rows -= whole
        buffer[:rows] = buffer[order[whole:]]


def _chunks(n_rows: int, generator: torch.Generator) -> Iterator[int]:
    starts = torch.arange(0, n_rows, CHUNK_ROWS)
    while True:
        yield from starts[torch.randperm(len(starts), generator=generator)].tolist()


def _ahead(items: Iterator[Tensor]) -> Generator[Tensor, None, None]:
    """The same endless items, made by a thread that is at most AHEAD of them in front.

    The thread ends when this generator is closed, and with its first error, which is raised here.
    """
    room, made, closed = Semaphore(AHEAD), SimpleQueue[Tensor | BaseException](), False

    def work() -> None:
        torch.set_num_threads(1)  # of this thread
        try:
            while True:
                room.acquire()
                if closed:
                    return
                made.put(next(items))
        except BaseException as error:
            made.put(error)

    # A daemon: a stream that nobody closed does not keep the process alive.
    thread = Thread(target=work, name="batches ahead", daemon=True)
    thread.start()
    try:
        while not isinstance(item := made.get(), BaseException):
            room.release()
            yield item
        raise item
    finally:
        closed = True
        room.release()
        thread.join()

"""A shuffled, endless stream of batches from an activations file.

Vectors of one document lie side by side in the file. A buffer is filled with chunks drawn from everywhere, batches
are drawn from it in random order, and what is left over goes into the next one. One thread does all this ahead of
the reader. In memory: one buffer in the stored number format, `buffer_rows` vectors and a chunk more (at least a
batch), beside `AHEAD` finished batches.
"""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from queue import SimpleQueue
from threading import Semaphore, Thread

import torch
from torch import Tensor

from sparse_coding.errors import BadInput
from sparse_coding.io.activations import SideBySide, Split
from sparse_coding.io.activations.limited import Some
from sparse_coding.portions.training import AHEAD, CHUNK_ROWS

Rows = Split | SideBySide | Some


def batches(
    split: Rows, *, size: int, seed: int, buffer_rows: int, ready: Callable[[Tensor], Tensor], skip: int = 0
) -> Iterator[Tensor]:
    """Batches [size, d_act] for ever, a function of the file and the arguments.

    ready: what the thread makes of each batch, which comes as it is stored and is nobody else's. Every epoch reads each
    row once, in a new order. skip: batches that are left out, at next to no cost: only the
    numbers of their rows are drawn. Close the stream to end its thread, or let go of it. Raises BadInput where the file
    has fewer rows than a batch, and what `Split.read` raises.
    """
    if split.n_rows < size:
        raise BadInput("dictionaries.batch", str(size), f"at most the {split.n_rows} vectors that there are")
    with closing(_ahead(map(ready, _drawn(split, size, seed, buffer_rows, skip)))) as made_ahead:
        yield from made_ahead


def _drawn(split: Rows, size: int, seed: int, buffer_rows: int, skip: int) -> Iterator[Tensor]:
    most = max(buffer_rows, size)
    buffer = torch.empty(most + CHUNK_ROWS, split.d_act, dtype=split.dtype)
    rows, left = 0, torch.empty(0, dtype=torch.long)  # in the buffer; the numbers of those, while nothing is read
    for starts, order in _fillings(split.n_rows, size, most, torch.Generator().manual_seed(seed)):
        whole = len(order) - len(order) % size
        if skip >= whole // size:
            skip -= whole // size
            left = torch.cat([left, *(torch.arange(*_chunk(start, split)) for start in starts)])[order[whole:]]
            continue
        for number in left.tolist():  # fewer than a batch, from everywhere
            split.read_into(buffer[rows : rows + 1], number, number + 1)
            rows += 1
        left = left[:0]
        for start, stop in (_chunk(start, split) for start in starts):
            split.read_into(buffer[rows : rows + stop - start], start, stop)
            rows += stop - start
        for start in range(skip * size, whole, size):
            # index_select: four times as fast as brackets, in half precision.
            yield buffer.index_select(0, order[start : start + size])
        skip, rows = 0, rows - whole
        buffer[:rows] = buffer[order[whole:]]


def _chunk(start: int, split: Rows) -> tuple[int, int]:
    return start, min(start + CHUNK_ROWS, split.n_rows)


def _fillings(n_rows: int, size: int, most: int, generator: torch.Generator) -> Iterator[tuple[list[int], Tensor]]:
    """For each filling of the buffer: the chunks that are added to what is left, and the order in which it is drawn."""
    chunks, rows = _chunks(n_rows, generator), 0
    while True:
        starts = []
        while rows < most:
            starts.append(next(chunks))
            rows += min(CHUNK_ROWS, n_rows - starts[-1])
        yield starts, torch.randperm(rows, generator=generator)
        rows %= size


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

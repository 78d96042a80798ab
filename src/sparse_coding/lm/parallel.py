"""One model on several threads: a batch a thread, each pass on one torch thread.

Side by side this way two cores do twice the work; two torch threads in one pass of a small model wait for each
other. No sum is split between threads, so results do not depend on how many there are.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import torch

from sparse_coding.lm.model import LanguageModel

Item = TypeVar("Item")
Result = TypeVar("Result")


def over_batches(
    model: LanguageModel, function: Callable[[LanguageModel, Item], Result], batches: Iterable[Item], threads: int
) -> Iterator[Result]:
    """`function(model, batch)` for each batch, in order, `threads` at a time; at most twice as many wait.

    Each thread has a twin of the model, because hooks belong to a model.
    """
    models: SimpleQueue[LanguageModel] = SimpleQueue()
    for index in range(threads):
        models.put(model.twin() if index else model)

    def call(batch: Item) -> Result:
        own = models.get()
        try:
            return function(own, batch)
        finally:
            models.put(own)

    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for batch in batches:
            waiting.append(pool.submit(call, batch))
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

"""Processor seconds of a call, on one thread."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from threadpoolctl import threadpool_limits

LEAST, MOST_CALLS = 0.15, 20  # seconds that a probe takes at least, calls at most


def seconds_of(call: Callable[[], object], warm: bool = True, least: float = LEAST) -> float:
    """The least processor time of a call, of as many as fit `least` seconds; other work counts little."""
    if warm:
        call()
    best, began = float("inf"), time.thread_time()
    for _ in range(MOST_CALLS):
        before = time.thread_time()
        call()
        now = time.thread_time()
        best = min(best, now - before)
        if now - began > least:
            break
    return best


@contextmanager
def one_thread() -> Iterator[None]:
    """As steps do: a thread computes alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1, user_api="blas"):
            yield
    finally:
        torch.set_num_threads(before)

"""Processor seconds of a call, on one thread."""

import time
from collections.abc import Callable

LEAST, MOST_CALLS = 0.15, 20  # seconds that a probe takes at least, calls at most
ROUNDS = 3  # of probes in turn: what else a machine does can slow down half a second, and so all calls of one probe


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


def least_of(*calls: Callable[[], object]) -> list[float]:
    """The least processor time of each of some calls, which are tried in turn."""
    rounds = [[seconds_of(call, least=LEAST / ROUNDS) for call in calls] for _ in range(ROUNDS)]
    return [min(taken) for taken in zip(*rounds, strict=True)]

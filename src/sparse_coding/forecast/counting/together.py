"""Which jobs run side by side on some cores: their memory together, and how long all take."""

import heapq
from collections.abc import Mapping

from sparse_coding.settings.jobs import Planned


def most_memory(jobs: Mapping[str, Planned], memory: Mapping[str, int], cores: int) -> tuple[int, list[str]]:
    """The most memory that jobs hold side by side on so many cores, and which.

    Jobs of which neither waits for the other, with no more threads together than there are cores. Sought greedily,
    twice: by memory, and by memory a thread.
    """
    behind = {name: _upstream(name, jobs) for name in jobs}

    def chosen(order: list[str]) -> list[str]:
        found: list[str] = []
        free = cores
        for name in order:
            threads = jobs[name].threads(cores)
            apart = all(name not in behind[other] and other not in behind[name] for other in found)
            if threads <= free and apart:
                found.append(name)
                free -= threads
        return found

    by_memory = sorted(jobs, key=lambda name: -memory[name])
    by_thread = sorted(jobs, key=lambda name: -memory[name] / jobs[name].threads(cores))
    return max((sum(memory[name] for name in found), found) for found in (chosen(by_memory), chosen(by_thread)))


def _upstream(name: str, jobs: Mapping[str, Planned]) -> set[str]:
    found: set[str] = set()
    waiting = list(jobs[name].needs)
    while waiting:
        each = waiting.pop()
        if each in jobs and each not in found:
            found.add(each)
            waiting += jobs[each].needs
    return found


def clock(jobs: Mapping[str, Planned], seconds: Mapping[str, float], cores: int) -> float:
    """Seconds that all jobs take on so many cores, each as soon as what it needs is there and cores are free.

    seconds: processor time; a job with several threads is taken to keep all of them busy.
    """
    waiting, done, free, now = list(jobs), set[str](), cores, 0.0
    running: list[tuple[float, int, str]] = []
    while waiting or running:
        for name in list(waiting):
            threads = jobs[name].threads(cores)
            if threads <= free and all(need in done or need not in jobs for need in jobs[name].needs):
                heapq.heappush(running, (now + seconds[name] / threads, threads, name))
                waiting.remove(name)
                free -= threads
        if not running:
            break
        now, threads, name = heapq.heappop(running)
        done.add(name)
        free += threads
    return now

"""Many dictionaries of one shape on one stream of batches, each trained whole by one thread.

A member's weights are a function of its own settings and of the stream: no arithmetic is shared between members
or split between threads, so the same bytes come out alone and in company, with one thread or many.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import torch
from torch import Tensor

from sparse_coding.core.training.keeping import NEVER, Keeping
from sparse_coding.core.training.steps.workspace import Workspaces
from sparse_coding.core.training.trainee import NotFinite, Trainee, is_going
from sparse_coding.portions.training import STEPS_A_TURN


def train(
    members: list[Trainee],
    batches: Iterator[Tensor],
    threads: int,
    advance: Callable[[int], object] = lambda steps: None,
    keeping: Keeping = NEVER,
) -> dict[str, NotFinite]:
    """Train all members on the same batches, `threads` of them at a time; `advance` hears of finished steps.

    keeping: hears when all members are at the same step.

    A member that diverges is left out from there on; the errors, by name.
    """
    failed: dict[str, NotFinite] = {}
    workspaces = Workspaces()
    previous = torch.get_num_threads()
    torch.set_num_threads(1)

    def turn_of(member: Trainee, turn: list[Tensor]) -> None:
        if member.name not in failed:
            try:
                member.train(turn, workspaces)
            except NotFinite as error:
                failed[member.name] = error

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            while any(is_going(each, failed) for each in members) and (turn := list(islice(batches, STEPS_A_TURN))):
                for _ in pool.map(lambda member, turn=turn: turn_of(member, turn), members):
                    advance(len(turn))
                keeping.now_and_then()
    finally:
        torch.set_num_threads(previous)
    return failed

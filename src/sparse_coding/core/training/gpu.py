"""Members of one shape trained as one stack of tensors, for a GPU.

The members' weights are those of core.training.processor within rounding. Which products a GPU's library picks may
depend on how many members there are, so here bytes may depend on company.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from sparse_coding.core.architectures.contract import State
from sparse_coding.core.training.adam import Adam
from sparse_coding.core.training.keeping import NEVER, Keeping
from sparse_coding.core.training.steps import stacked
from sparse_coding.core.training.steps.seen import Seen
from sparse_coding.core.training.trainee import NotFinite, Trainee

Precision = Literal["float32", "tf32", "bfloat16"]


def train(
    members: list[Trainee],
    batches: Iterator[Tensor],
    device: torch.device,
    precision: Precision = "float32",
    advance: Callable[[int], object] = lambda steps: None,
    keeping: Keeping = NEVER,
) -> dict[str, NotFinite]:
    """As processor.train, on `device`: products in float32, with factors rounded to TF32, or all of them in bfloat16.

    An architecture without a licence for the fast steps, or with a threshold, is trained member by member, in float32.
    """
    form = members[0].architecture.form
    if form is None or form.threshold:
        return _one_by_one(members, batches, device, advance, keeping)
    failed: dict[str, NotFinite] = {}
    stack = None
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        for batch in batches:
            if stack is None:
                for member in members:
                    if member.step == 0:
                        member.begin(batch)
                stack, penalties = _stacked(members, device), _penalties(members, device)
                state = {name: _together(members, "state", name, device) for name in members[0].state}
            with _rounding(device, precision):
                _step(members, stack, state, penalties, batch.to(device, non_blocking=True), failed)
            advance(len(members))
            if len(failed) == len(members):
                break
            keeping.now_and_then(partial(_unstack, members, stack, state))
    finally:
        torch.set_float32_matmul_precision(before)
    if stack is not None:
        _unstack(members, stack, state)
    return failed


def _one_by_one(
    members: list[Trainee],
    batches: Iterator[Tensor],
    device: torch.device,
    advance: Callable[[int], object],
    keeping: Keeping,
) -> dict[str, NotFinite]:
    failed: dict[str, NotFinite] = {}
    for member in members:
        member.move_to(device)
    for batch in batches:
        there = batch.to(device, non_blocking=True)
        for member in members:
            if member.name not in failed:
                try:
                    member.train([there])
                except NotFinite as error:
                    failed[member.name] = error
        advance(len(members))
        if len(failed) == len(members):
            break
        keeping.now_and_then()
    for member in members:
        member.move_to(torch.device("cpu"))
    return failed


def _stacked(members: list[Trainee], device: torch.device) -> Adam:
    parameters = {name: _together(members, "parameters", name, device) for name in members[0].parameters}
    own = members[0].adam
    stack = Adam(parameters, own.beta1, own.beta2, own.eps, own.legacy)
    stack.count = own.count
    for name in parameters:
        for moments, part in ((stack.first, "first"), (stack.second, "second")):
            moments[name].copy_(torch.stack([getattr(member.adam, part)[name] for member in members]))
    return stack


def _together(members: list[Trainee], what: str, name: str, device: torch.device) -> Tensor:
    return torch.stack([getattr(member, what)[name] for member in members]).to(device)


def _penalties(members: list[Trainee], device: torch.device) -> stacked.Penalties:
    k = [member.penalty.k for member in members]
    l1 = torch.tensor([member.penalty.l1 for member in members], device=device)
    return stacked.Penalties(l1, torch.tensor(k, device=device), max(k))


def _rounding(device: torch.device, precision: Precision) -> AbstractContextManager:
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _step(
    members: list[Trainee],
    stack: Adam,
    state: State,
    penalties: stacked.Penalties,
    z: Tensor,
    failed: dict[str, NotFinite],
) -> None:
    first = members[0]
    rate, l1_factor = first.schedule.rate(first.step), first.schedule.l1_factor(first.step)
    form = first.architecture.form
    assert form is not None
    saw = stacked.step(form, stack, state, z, penalties, l1_factor, rate)
    seen = stacked.seen(saw) if first.is_logged() else None
    for index, member in enumerate(members):
        if seen is not None and member.name not in failed:
            _note(member, seen[index], rate, failed)
        member.step += 1


def _note(member: Trainee, seen: Seen, rate: float, failed: dict[str, NotFinite]) -> None:
    try:
        member.note(seen, member.penalty_now(), rate)
    except NotFinite as error:  # its numbers stay in the stack and touch no other's
        failed[member.name] = error


def _unstack(members: list[Trainee], stack: Adam, state: State) -> None:
    for index, member in enumerate(members):
        member.adam.count = stack.count
        own = member.parameters, member.adam.first, member.adam.second, member.state
        for mine, theirs in zip(own, (stack.parameters, stack.first, stack.second, state), strict=True):
            for name, each in mine.items():
                each.copy_(theirs[name][index])

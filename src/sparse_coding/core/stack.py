"""Members of one shape trained as one stack of tensors, for a GPU.

The members' weights are those of core.ensemble within rounding. Which products a GPU's library picks may depend on
how many members there are, so here bytes may depend on company.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor

from sparse_coding.core.adam import Adam
from sparse_coding.core.ensemble import Member, NotFinite
from sparse_coding.core.steps import stacked
from sparse_coding.core.steps.seen import Seen

Precision = Literal["float32", "tf32", "bfloat16"]


def train(
    members: list[Member],
    batches: Iterator[Tensor],
    device: torch.device,
    precision: Precision = "float32",
    advance: Callable[[int], object] = lambda steps: None,
) -> dict[str, NotFinite]:
    """As ensemble.train, on `device`: products in float32, with factors rounded to TF32, or all of them in bfloat16."""
    failed: dict[str, NotFinite] = {}
    stack = None
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        for batch in batches:
            if stack is None:
                for member in members:
                    member.begin(batch)
                stack, penalties = _stacked(members, device), _penalties(members, device)
            with _rounding(device, precision):
                _step(members, stack, penalties, batch.to(device, non_blocking=True), failed)
            advance(len(members))
            if len(failed) == len(members):
                break
    finally:
        torch.set_float32_matmul_precision(before)
    if stack is not None:
        _unstack(members, stack)
    return failed


def _stacked(members: list[Member], device: torch.device) -> Adam:
    parameters = {
        name: torch.stack([member.parameters[name] for member in members]).to(device) for name in members[0].parameters
    }
    own = members[0].adam
    return Adam(parameters, own.beta1, own.beta2, own.eps, own.legacy)


def _penalties(members: list[Member], device: torch.device) -> stacked.Penalties:
    k = [member.penalty.k for member in members]
    l1 = torch.tensor([member.penalty.l1 for member in members], device=device)
    return stacked.Penalties(l1, torch.tensor(k, device=device), max(k))


def _rounding(device: torch.device, precision: Precision) -> AbstractContextManager:
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _step(
    members: list[Member], stack: Adam, penalties: stacked.Penalties, z: Tensor, failed: dict[str, NotFinite]
) -> None:
    first = members[0]
    rate, l1_factor = first.schedule.rate(first.step), first.schedule.l1_factor(first.step)
    saw = stacked.step(first.architecture.form, stack, z, penalties, l1_factor, rate)
    seen = stacked.seen(saw) if first.is_logged() else None
    for index, member in enumerate(members):
        if seen is not None and member.name not in failed:
            _note(member, seen[index], rate, failed)
        member.step += 1


def _note(member: Member, seen: Seen, rate: float, failed: dict[str, NotFinite]) -> None:
    try:
        member.note(seen, member.penalty_now(), rate)
    except NotFinite as error:  # its numbers stay in the stack and touch no other's
        failed[member.name] = error


def _unstack(members: list[Member], stack: Adam) -> None:
    for index, member in enumerate(members):
        for name, parameter in member.parameters.items():
            parameter.copy_(stack.parameters[name][index])

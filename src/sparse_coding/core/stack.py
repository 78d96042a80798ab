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
from sparse_coding.core.architectures.contract import Penalty
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
    """As ensemble.train, on `device`: products in float32, or with factors rounded to TF32 or bfloat16."""
    failed: dict[str, NotFinite] = {}
    stack = None
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        for batch in batches:
            if stack is None:
                for member in members:
                    member.begin(batch)
                stack = _stacked(members, device)
            with _rounding(device, precision):
                _step(members, stack, batch.to(device, non_blocking=True), failed)
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
    return Adam(parameters, own.beta1, own.beta2, own.eps)


def _rounding(device: torch.device, precision: Precision) -> AbstractContextManager:
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _step(members: list[Member], stack: Adam, z: Tensor, failed: dict[str, NotFinite]) -> None:
    first = members[0]
    rate = first.schedule.rate(first.step)
    due = [member.penalty_now() for member in members]
    penalties = stacked.Penalties(
        torch.tensor([penalty.l1 for penalty in due], device=z.device, dtype=z.dtype),
        torch.tensor([penalty.k for penalty in due], device=z.device),
    )
    saw = stacked.step(first.architecture.form, stack, z, penalties, rate)
    seen = stacked.seen(saw) if first.is_logged() else None
    for index, (member, penalty) in enumerate(zip(members, due, strict=True)):
        if seen is not None and member.name not in failed:
            _note(member, seen[index], penalty, rate, failed)
        member.step += 1


def _note(member: Member, seen: Seen, penalty: Penalty, rate: float, failed: dict[str, NotFinite]) -> None:
    try:
        member.note(seen, penalty, rate)
    except NotFinite as error:  # its numbers stay in the stack and touch no other's
        failed[member.name] = error


def _unstack(members: list[Member], stack: Adam) -> None:
    for index, member in enumerate(members):
        for name, parameter in member.parameters.items():
            parameter.copy_(stack.parameters[name][index])

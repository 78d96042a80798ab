"""Members of one shape trained as one stack of tensors, for a GPU.

The members' weights are those of core.training.processor within rounding. Which products a GPU's library picks may
depend on how many members there are, so here bytes may depend on company.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from sparse_coding.core.architectures.contract import Form, Parameters, State
from sparse_coding.core.training.keeping import NEVER, Keeping
from sparse_coding.core.training.optimisers.contract import Optimiser
from sparse_coding.core.training.steps import stacked
from sparse_coding.core.training.steps.seen import Seen
from sparse_coding.core.training.trainee import NotFinite, Schedule, Trainee, is_going

Precision = Literal["float32", "tf32", "bfloat16"]


def train(
    members: list[Trainee],
    batches: Iterator[Tensor],
    device: torch.device,
    precision: Precision = "float32",
    advance: Callable[[int], object] = lambda steps: None,
    keeping: Keeping = NEVER,
) -> dict[str, NotFinite]:
    """As processor.train, on `device`, where batches are: products in float32, with factors rounded to TF32, or all of
    them in bfloat16.

    What has no licence for the fast steps is trained member by member, in float32. The processor waits
    for the device where something is logged, and nowhere else.
    """
    form = members[0].form
    if form is None:
        return _one_by_one(members, batches, device, advance, keeping)
    failed: dict[str, NotFinite] = {}
    stacks = _Stacks(members, form, device)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        for batch in batches:
            stacks.arrange(batch, failed)
            with _rounding(device, precision):
                stacks.step(batch, failed)
            advance(len(members))
            if not any(is_going(member, failed) for member in members):
                break
            keeping.now_and_then(stacks.take_apart)
    finally:
        torch.set_float32_matmul_precision(before)
    stacks.take_apart()
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
        for member in members:
            if member.name not in failed:
                try:
                    member.train([batch])
                except NotFinite as error:
                    failed[member.name] = error
        advance(len(members))
        if not any(is_going(member, failed) for member in members):
            break
        keeping.now_and_then()
    for member in members:
        member.move_to(torch.device("cpu"))
    return failed


class _Stacks:
    """All members, those of one course of the rate as one stack: they are parted where one of them ends early."""

    def __init__(self, members: list[Trainee], form: Form, device: torch.device) -> None:
        self._members, self._form, self._device = members, form, device
        self._stacks: list[_Stack] | None = None

    def arrange(self, z: Tensor, failed: dict[str, NotFinite]) -> None:
        """Before each step: what members do between steps, which they do one by one."""
        going = [member for member in self._members if is_going(member, failed)]
        due = [member for member in going if member.is_due()]
        if self._stacks is not None and not due and not any(stack.is_done() for stack in self._stacks):
            return
        self.take_apart()
        for member in due:
            member.between(z)
        for member in going:
            if member.step == 0:
                member.begin(z.cpu())
        alike: dict[Schedule, list[Trainee]] = {}
        for member in going:
            if not member.is_done():
                alike.setdefault(replace(member.schedule, lr=1.0), []).append(member)
        self._stacks = [_Stack(those, self._form, self._device) for those in alike.values()]

    def step(self, z: Tensor, failed: dict[str, NotFinite]) -> None:
        """One step of all; those that turn out not to be finite are added to `failed`."""
        for stack in self._stacks or []:
            stack.step(z, failed)

    def take_apart(self) -> None:
        """Give the members what is theirs."""
        for stack in self._stacks or []:
            stack.take_apart()


class _Stack:
    """Members that are at the same step, as one: tensors with a leading dimension of members."""

    def __init__(self, members: list[Trainee], form: Form, device: torch.device) -> None:
        first = members[0]
        self.members, self._form, self._begun = members, form, first.step
        parameters = _together([member.parameters for member in members], device)
        self.state = _together([member.state for member in members], device)
        self.optimiser = first.optimiser.over(parameters)
        self.optimiser.count = first.optimiser.count
        for kept in self.optimiser.keeps:
            self.optimiser.moments[kept] = _together([member.optimiser.moments[kept] for member in members], device)
        self._penalties = _penalties(members, device)
        self._numbers = _numbers(members, self.optimiser, parameters[form.bias])
        self._ks = _ks(members, device)

    def step(self, z: Tensor, failed: dict[str, NotFinite]) -> None:
        """One step of all; those that turn out not to be finite are added to `failed`."""
        first = self.members[0]
        warm, *rates = (each[first.step - self._begun] for each in self._numbers)
        penalties = self._penalties_now()
        self.optimiser.count += 1
        saw = stacked.step(self._form, self.optimiser, self.state, z, penalties, warm, tuple(rates))
        seen = stacked.seen(saw) if first.is_logged() else None
        for index, member in enumerate(self.members):
            if seen is not None and member.name not in failed:
                _note(member, seen[index], failed)
            member.step += 1
        moved = [member.match(*self._of(index)) for index, member in enumerate(self.members)]
        if any(moved):
            self._penalties = _penalties(self.members, z.device)

    def _of(self, index: int) -> tuple[Parameters, State]:
        """Parameters and state of one member, in the stack."""
        parameters = {name: whole[index] for name, whole in self.optimiser.parameters.items()}
        return parameters, {name: whole[index] for name, whole in self.state.items()}

    def is_done(self) -> bool:
        """Whether its members have no step to come."""
        return self.members[0].is_done()

    def _penalties_now(self) -> stacked.Penalties:
        """With the k of the next step, where that is another one in each."""
        first = self.members[0]
        if self._ks is None or first.step - self._begun >= len(self._ks):
            return self._penalties
        most = max(member.penalty_now().k for member in self.members)
        return replace(self._penalties, k=self._ks[first.step - self._begun], most=most)

    def take_apart(self) -> None:
        """Give the members what is theirs."""
        whole = [self.optimiser.parameters, self.state, *self.optimiser.moments.values()]
        for index, member in enumerate(self.members):
            member.optimiser.count = self.optimiser.count
            own = [member.parameters, member.state, *member.optimiser.moments.values()]
            for mine, theirs in zip(own, whole, strict=True):
                for name, each in mine.items():
                    each.copy_(theirs[name][index])


def _together(parts: list[dict[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
    return {name: torch.stack([part[name] for part in parts]).to(device) for name in parts[0]}


def _penalties(members: list[Trainee], device: torch.device) -> stacked.Penalties:
    given = [member.penalty for member in members]
    l1 = torch.tensor([each.l1 for each in given], device=device)
    l0 = torch.tensor([each.l0 for each in given], device=device)
    k = torch.tensor([each.k for each in given], device=device)
    return stacked.Penalties(l1, l0, k, most=max(each.k for each in given))


def _ks(members: list[Trainee], device: torch.device) -> Tensor | None:
    """[step, member], for all steps to come that have a k of their own; None where there are none."""
    first = members[0]
    until = first.schedule.annealing.steps if first.schedule.annealing else 0
    steps = range(first.step, until)
    rows = [[member.schedule.k(member.penalty.k, step) for member in members] for step in steps]
    return torch.tensor(rows, device=device) if rows else None


def _numbers(members: list[Trainee], optimiser: Optimiser, like: Tensor) -> list[Tensor]:
    """What changes from step to step, for all that are to come, where training is: warm-up [step], then each of the
    optimiser's numbers, [step] where members have the same, else [step, member].

    So the processor sends nothing within a step, and a step could be recorded once and played again.
    """
    first, done = members[0], optimiser.count - members[0].step
    steps = range(first.step, first.schedule.steps)
    warm = torch.tensor([first.schedule.l1_factor(step) for step in steps], dtype=like.dtype)
    rows = [[optimiser.rates(member.schedule.rate(step), done + step + 1) for member in members] for step in steps]
    rates = torch.tensor(rows, dtype=like.dtype).unbind(2)
    same = [each[:, 0] if bool((each == each[:, :1]).all()) else each for each in rates]
    return [each.to(like.device) for each in (warm, *same)]


def _rounding(device: torch.device, precision: Precision) -> AbstractContextManager:
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def _note(member: Trainee, seen: Seen, failed: dict[str, NotFinite]) -> None:
    try:
        member.note(seen, member.penalty_now(), member.schedule.rate(member.step))
    except NotFinite as error:  # its numbers stay in the stack and touch no other's
        failed[member.name] = error

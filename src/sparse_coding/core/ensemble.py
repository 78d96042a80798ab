"""Many dictionaries of one shape on one stream of batches, each trained whole by one thread.

A member's weights are a function of its own settings and of the stream: no arithmetic is shared between members
or split between threads, so the same bytes come out alone and in company, with one thread or many.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from sparse_coding.core.adam import Adam
from sparse_coding.core.architectures.contract import Architecture, Penalty
from sparse_coding.core.finder import Screen
from sparse_coding.core.products import linear
from sparse_coding.core.steps import dense, sparse
from sparse_coding.core.steps.seen import Seen
from sparse_coding.core.steps.workspace import DENSEST, Workspaces

STEPS_A_TURN = 16  # a member's weights and moments stay in the cache for so many batches


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up of the rate and of the L1 penalty, linear decay of the rate at the end, in steps."""

    steps: int
    lr: float
    warmup: int
    decay: int
    l1_warmup: int

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, from 0."""
        up = (step + 1) / self.warmup if self.warmup else 1.0
        down = (self.steps - step) / self.decay if self.decay else 1.0
        return self.lr * min(up, down, 1.0)

    def l1_factor(self, step: int) -> float:
        """The factor on the L1 penalty in step `step`, from 0."""
        return min((step + 1) / self.l1_warmup, 1.0) if self.l1_warmup else 1.0


class NotFinite(ArithmeticError):
    """A member's loss is infinite or not a number."""

    def __init__(self, member: str, step: int) -> None:
        super().__init__(f"{member}: the loss is not finite at step {step}; lower dictionaries.lr")


class Member:
    """One dictionary in training."""

    def __init__(
        self,
        name: str,
        architecture: Architecture,
        shape: tuple[int, int],
        penalty: Penalty,
        seed: int,
        schedule: Schedule,
        adam: tuple[float, float, float],
        log_steps: int,
        initial_density: float | None = None,
        legacy_adam: bool = False,
    ) -> None:
        """shape: (n_feat, d_act); adam: (beta1, beta2, eps); initial_density: see `begin`, None for biases of 0.

        legacy_adam: see core.adam.
        """
        self.name, self.architecture, self.penalty, self.schedule = name, architecture, penalty, schedule
        self.parameters = architecture.init(*shape, torch.Generator().manual_seed(seed))
        self.adam = Adam(self.parameters, *adam, legacy=legacy_adam)
        self.screen = Screen.fastest()
        # The share of codes that were positive in the last step; before the first one, of those that can be.
        self.density = min(penalty.k / shape[0], 1.0) if architecture.form.keeps_largest else initial_density or 1.0
        self._begins_sparse = initial_density is not None and not architecture.form.keeps_largest
        self.log: list[dict[str, float]] = []
        self.log_steps = log_steps
        self.step = 0

    def train(self, batches: Iterable[Tensor], workspaces: Workspaces | None = None) -> None:
        """One optimiser step a batch; batches are [vector, d_act], normalised. Raises NotFinite."""
        workspaces = workspaces or Workspaces()
        for batch in batches:
            if self.step == 0:
                self.begin(batch)
            penalty, rate = self.penalty_now(), self.schedule.rate(self.step)
            seen = self._step(batch, penalty, rate, workspaces)
            if self.is_logged() or not math.isfinite(seen.mse):
                self.note(seen, penalty, rate)
            self.step += 1

    def penalty_now(self) -> Penalty:
        """The penalty of the next step: that of the L1 is warmed up."""
        return Penalty(self.penalty.l1 * self.schedule.l1_factor(self.step), self.penalty.k)

    def is_logged(self) -> bool:
        """Whether the next step enters the log."""
        return self.step % self.log_steps == 0 or self.step == self.schedule.steps - 1

    def begin(self, batch: Tensor) -> None:
        """One bias for all features, with which a share `initial_density` of the codes of `batch` is positive.

        With a bias of 0 half of them are, and the first steps, dense and slow, go into making them fewer. TopK keeps
        its biases of 0: it has few codes as it is.
        """
        if not self._begins_sparse:
            return
        form = self.architecture.form
        pre = linear(batch, self.parameters[form.encoder]).flatten()  # before the first step the centre is 0
        others = len(pre) - max(round(self.density * len(pre)), 1)
        if others:
            ordered = pre.numpy()
            ordered.partition(others - 1)  # in place: a batch of codes is large
            self.parameters[form.bias].fill_(-float(ordered[others - 1]))

    def _step(self, batch: Tensor, penalty: Penalty, rate: float, workspaces: Workspaces) -> Seen:
        """Sparse where that was enough room for the codes of the step before, else dense."""
        form, n_feat = self.architecture.form, len(self.parameters[self.architecture.form.bias])
        seen = None
        if self.density < DENSEST and batch.dtype == torch.float32 and batch.device.type == "cpu":
            space = workspaces.of(len(batch), batch.shape[1], n_feat)
            seen = sparse.step(form, self.adam, batch, penalty, rate, space, self.screen)
        if seen is None:
            seen = dense.step(form, self.adam, batch, penalty, rate)
        self.density = seen.l0 / n_feat
        return seen

    def note(self, seen: Seen, penalty: Penalty, rate: float) -> None:
        """Add a line to the log. Raises NotFinite where the loss is not a number."""
        l1 = 0.0 if self.architecture.form.keeps_largest else penalty.l1
        loss = seen.mse + l1 * seen.l1_norm
        line = {"step": self.step, "loss": loss, "mse": seen.mse, "l1": seen.l1_norm, "l0": seen.l0, "lr": rate}
        self.log.append(line)
        if not math.isfinite(loss):
            raise NotFinite(self.name, self.step)


def train(
    members: list[Member],
    batches: Iterator[Tensor],
    threads: int,
    advance: Callable[[int], object] = lambda steps: None,
) -> dict[str, NotFinite]:
    """Train all members on the same batches, `threads` of them at a time; `advance` hears of finished steps.

    A member that diverges is left out from there on; the errors, by name.
    """
    failed: dict[str, NotFinite] = {}
    workspaces = Workspaces()
    previous = torch.get_num_threads()
    torch.set_num_threads(1)

    def turn_of(member: Member, turn: list[Tensor]) -> None:
        if member.name not in failed:
            try:
                member.train(turn, workspaces)
            except NotFinite as error:
                failed[member.name] = error

    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            while len(failed) < len(members) and (turn := list(islice(batches, STEPS_A_TURN))):
                for _ in pool.map(lambda member, turn=turn: turn_of(member, turn), members):
                    advance(len(turn))
    finally:
        torch.set_num_threads(previous)
    return failed

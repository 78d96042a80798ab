"""One dictionary in training, and the schedule that it follows."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparse_coding.core.architectures.contract import Architecture, Form, Parameters, Penalty, State
from sparse_coding.core.finder import Screen
from sparse_coding.core.training.annealing import Annealing
from sparse_coding.core.training.choices import NONE, Choices
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.optimisers.contract import Optimiser
from sparse_coding.core.training.resampling import QUIET, resample
from sparse_coding.core.training.steps import dense, general, sparse
from sparse_coding.core.training.steps.seen import Seen
from sparse_coding.core.training.steps.workspace import Workspaces
from sparse_coding.errors import BadInput
from sparse_coding.portions.training import DENSEST


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up of the rate and of the L1 penalty, linear decay of the rate at the end, in steps.

    annealing: of k, None: it is the same in all steps.
    """

    steps: int
    lr: float
    warmup: int
    decay: int
    l1_warmup: int
    annealing: Annealing | None = None

    def rate(self, step: int) -> float:
        """The learning rate of step `step`, from 0."""
        up = (step + 1) / self.warmup if self.warmup else 1.0
        down = (self.steps - step) / self.decay if self.decay else 1.0
        return self.lr * min(up, down, 1.0)

    def l1_factor(self, step: int) -> float:
        """The factor on the L1 penalty in step `step`, from 0."""
        return min((step + 1) / self.l1_warmup, 1.0) if self.l1_warmup else 1.0

    @property
    def annealed(self) -> int:
        """From which step on k is its own."""
        return self.annealing.steps if self.annealing else 0

    def k(self, own: int, step: int) -> int:
        """How many codes step `step` keeps."""
        return self.annealing.k(own, step) if self.annealing else own


class NotFinite(ArithmeticError):
    """A member's loss is infinite or not a number."""

    def __init__(self, member: str, step: int) -> None:
        super().__init__(f"{member}: the loss is not finite at step {step}; lower the lr of its architecture")


class Trainee:
    """One dictionary in training."""

    def __init__(
        self,
        name: str,
        architecture: Architecture,
        shape: tuple[int, int],
        penalty: Penalty,
        seed: int,
        schedule: Schedule,
        optimiser: Callable[[Parameters], Optimiser],
        log_steps: int,
        initial_density: float | None = None,
        choices: Choices = NONE,
    ) -> None:
        """shape: (n_feat, d_act); initial_density: see `begin`, None for biases of 0."""
        self.choices, self.seed = choices, seed
        self.name, self.architecture, self.penalty, self.schedule = name, architecture, penalty, schedule
        self.parameters = architecture.init(*shape, torch.Generator().manual_seed(seed))
        self.state = architecture.state(self.parameters)
        if choices.resampling:
            self.state[QUIET] = torch.zeros(shape[0], dtype=torch.int64)
        _check_licence(architecture, self.parameters)
        self.optimiser = optimiser(self.parameters)
        self.screen = Screen.fastest()
        # The share of codes that a sparse step had to find in the last step, positive or near their threshold; before
        # the first one, of those that can be positive.
        self.step = 0
        most = architecture.density(self.penalty_now(), shape[0])
        self.density = initial_density or 1.0 if most is None else most
        self._begins_sparse = initial_density is not None and most is None
        self.log: list[dict[str, float]] = []
        self.log_steps = log_steps

    def train(self, batches: Iterable[Tensor], workspaces: Workspaces | None = None) -> None:
        """One optimiser step a batch; batches are [vector, d_act], normalised. Raises NotFinite."""
        workspaces = workspaces or Workspaces()
        for batch in batches:
            if self.is_due():
                self.between(batch)
            if self.is_done():
                return
            if self.step == 0:
                self.begin(batch)
            penalty, rate = self.penalty_now(), self.schedule.rate(self.step)
            seen = self._step(batch, penalty, rate, workspaces)
            if seen is not None and (self.is_logged() or not math.isfinite(seen.mse)):
                self.note(seen, penalty, rate)
            self.step += 1
            self.match(self.parameters, self.state)

    def match(self, parameters: Parameters, state: State) -> bool:
        """After a step: see that its L0 comes to the wished one. Whether the penalty is another one now."""
        own = self.choices.matching
        if own is None or not own.is_due(self.step, self.schedule.l1_warmup, self.schedule.steps):
            return False
        self.penalty = own.moved(self.penalty, own.counted(self.architecture, parameters, state, self.penalty))
        return True

    def settle(self) -> dict[str, Any]:
        """After the last step: with a wished L0, set what can be set for it. What files tell of it.

        A wish that was missed is said on stderr.
        """
        own = self.choices.matching
        if own is None:
            return {}
        self.architecture.settle(self.parameters, self.state, own.rows, self.penalty)
        counted = own.counted(self.architecture, self.parameters, self.state, self.penalty)
        if missed := own.missed(counted):
            print(f"warning: {self.name}: {missed}", file=sys.stderr)
        return {"matched": own.told(self.penalty, counted)}

    def is_due(self) -> bool:
        """Whether something is to be done before the next step: `between` does it."""
        resampling = self.choices.resampling
        return self._ends_early() or (resampling is not None and resampling.is_at(self.step))

    def between(self, batch: Tensor) -> None:
        """End early: the decay begins with the next step. Let dead features begin anew. The log says either."""
        if self._ends_early():
            self.schedule = replace(self.schedule, steps=self.step + self.schedule.decay)
            self.log.append({"step": self.step, "ends": self.schedule.steps})
        resampling = self.choices.resampling
        if resampling is not None and resampling.is_at(self.step):
            tensors = self.parameters, self.state, self.optimiser.moments.values()
            dead, at = resampling.dead(self.state), (self.seed, self.step)
            if n := resample(self.architecture, tensors, dead, batch, self.penalty_now(), at):
                self.log.append({"step": self.step, "resampled": n})

    def _ends_early(self) -> bool:
        stopping, decay_begins = self.choices.stopping, self.schedule.steps - self.schedule.decay
        return stopping is not None and self.step < decay_begins and stopping.is_over(self.log, self.step)

    def is_done(self) -> bool:
        """Whether all steps of its schedule are done."""
        return self.step >= self.schedule.steps

    @property
    def form(self) -> Form | None:
        """The licence for the fast steps, where these do all that is asked for; else None."""
        return None if self.choices.need_whole_gradients else self.architecture.form

    def penalty_now(self) -> Penalty:
        """The penalty of the next step, warmed up and annealed."""
        warm, k = self.schedule.l1_factor(self.step), self.schedule.k(self.penalty.k, self.step)
        return replace(self.penalty, l1=self.penalty.l1 * warm, k=k, warm=warm)

    def is_logged(self) -> bool:
        """Whether the next step enters the log."""
        return self.step % self.log_steps == 0 or self.step == self.schedule.steps - 1

    def begin(self, batch: Tensor) -> None:
        """See that about a share `initial_density` of the codes of `batch` is positive, as the architecture does it."""
        if self._begins_sparse:
            self.architecture.begin(self.parameters, batch, self.density)

    def _step(self, batch: Tensor, penalty: Penalty, rate: float, workspaces: Workspaces) -> Seen | None:
        """Without a licence by autograd; sparse where there was room for the codes of the step before, else dense.

        None: a GPU has it, and nothing is logged, so nobody waits for it.
        """
        form, optimiser = self.form, self.optimiser
        if form is None:
            saw = general.step(self.architecture, optimiser, self.state, batch, penalty, rate, self.choices.clip_norm)
            return Seen(*saw.tolist()) if saw.device.type == "cpu" or self.is_logged() else None
        seen, (n_feat, d_out) = None, self.parameters[form.decoder].shape
        # The loops of the sparse step have Adam in them, as it is and no other.
        if self.density < DENSEST and batch.dtype == torch.float32 and type(optimiser) is Adam:
            space = workspaces.of(len(batch), self.parameters[form.encoder].shape[1], n_feat, d_out)
            seen = sparse.step(form, optimiser, self.state, batch, penalty, rate, space, self.screen)
        if seen is None:
            seen = dense.step(form, optimiser, self.state, batch, penalty, rate)
        self.density = (seen.l0 + seen.near) / n_feat
        return seen

    def kept(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that it is in the middle of its training, as tensors and as JSON: `take_up` goes on from there."""
        parts = {"parameters": self.parameters, "state": self.state}
        parts |= {
            f"moments.{name}": those for name, those in self.optimiser.moments.items()
        }  # whatever they are called
        tensors = {f"{part}.{name}": tensor for part, those in parts.items() for name, tensor in those.items()}
        numbers = {
            "step": self.step,
            "density": self.density,
            "count": self.optimiser.count,
            "rests": self.screen.rests,
            "steps": self.schedule.steps,
        }
        if self.choices.matching is not None:
            numbers |= {"l1": self.penalty.l1, "l0": self.penalty.l0}
        return tensors, {**numbers, "log": self.log}

    def take_up(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Be what was kept. Raises BadInput where that is of something else."""
        own, _ = self.kept()
        if {name: (each.shape, each.dtype) for name, each in own.items()} != {
            name: (each.shape, each.dtype) for name, each in tensors.items()
        }:
            raise BadInput(self.name, "what was kept of another training", "tensors of the same names and shapes")
        for name, tensor in own.items():
            tensor.copy_(tensors[name])
        self.step, self.density, self.optimiser.count = numbers["step"], numbers["density"], numbers["count"]
        self.screen.rests, self.log = numbers["rests"], list(numbers["log"])
        self.schedule = replace(self.schedule, steps=numbers["steps"])
        if self.choices.matching is not None:
            self.penalty = replace(self.penalty, l1=numbers["l1"], l0=numbers["l0"])

    def move_to(self, device: torch.device) -> None:
        """All that it is made of."""
        for tensors in (self.parameters, self.state, *self.optimiser.moments.values()):
            tensors.update({name: tensor.to(device) for name, tensor in tensors.items()})

    def note(self, seen: Seen, penalty: Penalty, rate: float) -> None:
        """Add a line to the log. Raises NotFinite where the loss is not a number."""
        form, loss = self.architecture.form, seen.loss
        if loss is None:
            assert form is not None
            d_act = self.parameters[form.decoder].shape[1]
            loss = seen.mse + form.beside(penalty, seen.l1_norm, seen.l0, d_act)
        line = {"step": self.step, "loss": loss, "mse": seen.mse, "l1": seen.l1_norm, "l0": seen.l0, "lr": rate}
        self.log.append(line)
        if not math.isfinite(loss):
            raise NotFinite(self.name, self.step)


def is_going(member: Trainee, failed: Mapping[str, NotFinite]) -> bool:
    """Whether a member has steps to come."""
    return member.name not in failed and not member.is_done()


def _check_licence(architecture: Architecture, parameters: Parameters) -> None:
    """A fast step moves the parameters that it knows: others would stay where they are, without a word."""
    form = architecture.form
    if form is not None and form.names != parameters.keys():
        others = ", ".join(sorted(form.names ^ parameters.keys()))
        raise BadInput(f"{type(architecture).__name__}.form", f"other parameters than `init` has: {others}", "the same")

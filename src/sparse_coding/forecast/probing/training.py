"""Processor time of training: a few steps of each shape, sparse at two L0 and dense, on random vectors."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch

from sparse_coding import methods
from sparse_coding.core import architectures
from sparse_coding.core.architectures.contract import Architecture, Penalty
from sparse_coding.core.controls import controlled, steps_of
from sparse_coding.core.training import feed
from sparse_coding.core.training.optimisers.adam import Adam
from sparse_coding.core.training.steps.workspace import Workspaces
from sparse_coding.core.training.trainee import Schedule, Trainee
from sparse_coding.forecast.probing.assumed import mean_l0
from sparse_coding.forecast.probing.probe import least_of, seconds_of
from sparse_coding.methods import Control
from sparse_coding.portions.training import DENSEST
from sparse_coding.settings.params.section import Optimisation, Section, WithL1

FEW, MANY = 0.004, 0.06  # shares of codes of the two sparse probes
WISHED = 32.0  # L0, of kinds for which it is wished; at a rate of 0 it changes nothing
WIDEST = 4096  # features of the largest probe; a step of more takes longer in proportion


@dataclass(frozen=True)
class StepTimes:
    """Seconds of one step of one member; `few` and `many` at these L0, between which it is linear."""

    few_l0: float
    few: float
    many_l0: float
    many: float
    dense: float

    def at(self, l0: float, n_feat: int) -> float:
        """A step with so many positive codes a vector."""
        if l0 / n_feat >= DENSEST:
            return self.dense
        slope = max(self.many - self.few, 0.0) / (self.many_l0 - self.few_l0)
        return max(self.few + slope * (l0 - self.few_l0), self.few / 2)


def member(
    training: Optimisation,
    own: Section,
    architecture: str,
    shape: tuple[int, int],
    settled: float,
    k: int | None,
    control: Control | None = None,
) -> float:
    """Seconds that one member takes; own: what its architecture reads of the settings; settled: L0; control: see
    core.controls."""
    n_feat, d_act = shape
    times = step_times(architecture, own, min(n_feat, WIDEST), d_act, training.batch, k, control)
    l0 = settled
    if isinstance(own, WithL1):
        l0 = mean_l0(settled, n_feat, own.initial_density, own.l1_warmup_share)
    scale = n_feat / min(n_feat, WIDEST)
    return steps_of(training.steps, control) * scale * times.at(l0 / scale, min(n_feat, WIDEST))


@cache
def step_times(
    architecture: str,
    own: Section,
    n_feat: int,
    d_act: int,
    batch: int,
    k: int | None,
    control: Control | None = None,
) -> StepTimes:
    """Probe a shape."""
    generator = torch.Generator().manual_seed(0)
    d_in = d_act if methods.of(architecture).pairs else None  # both places as wide
    width = d_act if d_in is None else 2 * d_act
    vectors = torch.randn(batch, width, generator=generator) / d_act**0.5
    made = controlled(architectures.build(architecture, own.model_dump(mode="json"), d_in), control)
    shape = n_feat, width
    if k is not None:
        (taken,) = least_of(_step(made, shape, vectors, k, None))
        return StepTimes(k, taken, k + 1, taken, taken)
    shares = (FEW, MANY, None)
    few, many, dense = least_of(*(_step(made, shape, vectors, None, share) for share in shares))
    return StepTimes(FEW * n_feat, few, MANY * n_feat, many, dense)


def _step(
    made: Architecture, shape: tuple[int, int], vectors: torch.Tensor, k: int | None, share: float | None
) -> Callable[[], object]:
    """A step at a rate of 0, which holds the share of positive codes still; None: half of them, by a dense step."""
    schedule = Schedule(steps=1_000_000, lr=0.0, warmup=0, decay=0, l1_warmup=0)
    penalty, adam = Penalty(1e-3, k or 0, l0=WISHED), partial(Adam, beta1=0.9, beta2=0.999, eps=1e-8)
    one = Trainee("probe", made, shape, penalty, 0, schedule, adam, 1_000_000, share)
    workspaces = Workspaces()
    return lambda: one.train([vectors], workspaces)


@cache
def batch(size: int, d_act: int, dtype: torch.dtype) -> float:
    """Seconds in which one batch is drawn from the buffer and normalised."""
    buffer = torch.randn(8 * size, d_act).to(dtype)
    mean, order = torch.zeros(d_act), torch.randperm(len(buffer))[:size]
    copied = torch.empty(size, d_act, dtype=dtype)

    def draw() -> None:
        copied.copy_(buffer[:size])
        feed.normalised(buffer.index_select(0, order), mean, 1.0)

    return seconds_of(draw, least=0.02)

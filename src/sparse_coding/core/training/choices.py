"""What a training may do beside its steps; each is off unless asked for, and has a module of its own."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sparse_coding.core.training.annealing import Annealing
from sparse_coding.core.training.matching import Matching
from sparse_coding.core.training.resampling import Resampling
from sparse_coding.core.training.stopping import Stopping


@dataclass(frozen=True)
class Choices:
    """clip_norm: the largest norm of a gradient (clipping); None: none is clipped. stopping: when to end early.

    resampling: when dead features begin anew. matching: what comes to a wished L0.
    """

    clip_norm: float | None = None
    stopping: Stopping | None = None
    resampling: Resampling | None = None
    matching: Matching | None = None

    @property
    def need_whole_gradients(self) -> bool:
        """Whether all slopes must be known before any parameter moves: fast steps forget each when it is used."""
        return self.clip_norm is not None


NONE = Choices()


def build(settings: Mapping[str, Any], own: Mapping[str, Any], steps: int, begins: int) -> Choices:
    """Of the settings of all kinds and those of one. Windows of early stop count when all that is over that they would
    take for a loss that stays: warm-ups and annealing, until step `begins`, and resampling."""
    resampling, stopping = None, None
    if wanted := own.get("resample"):
        resampling = Resampling(wanted["every"], wanted["dead_after"], round(wanted["until_share"] * steps))
    if wanted := settings.get("early_stop"):
        begins = max(begins, resampling.until) if resampling else begins
        stopping = Stopping(wanted["window"], wanted["gain"], begins)
    return Choices(settings.get("clip_norm"), stopping, resampling)


def length(own: Mapping[str, Any], d_act: int) -> float:
    """The mean length of the vectors that a kind learns from: 1, or sqrt(d_act) where its `vector_length` is root.

    Adam moves biases as far as weights, whatever the vectors: on longer ones biases move less beside them.
    """
    return math.sqrt(d_act) if own.get("vector_length") == "root" else 1.0


def of_length(own: Mapping[str, Any], d_act: int) -> dict[str, Any]:
    """The settings of one kind for vectors of its `length`: a width of codes grows with it, and what is weighed against
    the squared error with its square."""
    times = length(own, d_act)
    grow = {"bandwidth": times, "l0_weight": times**2}
    return {**own, **{name: factor * own[name] for name, factor in grow.items() if name in own}}


def annealing(own: Mapping[str, Any], first: int, steps: int) -> Annealing | None:
    """From `first` codes on, for a kind that keeps k of them."""
    until = round((own.get("k_anneal_share") or 0) * steps)
    return Annealing(first, until) if until else None

"""What a training may do beside its steps; each is off unless asked for, and has a module of its own."""

from dataclasses import dataclass

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

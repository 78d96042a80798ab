"""A training that ends where its loss goes down no longer: from there the rate decays as it would have at the end.

Prechelt 1998 compares such rules on held-out errors. The logged loss is of vectors that no step has seen yet, in the
first epoch, so it will do; and a member decides by its own log: alone, in company or after a kill it comes to the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Stopping:
    """After a window of so many steps whose mean logged loss is not below that of the window before by a share `gain`.

    begins: the step from which on windows count, when all that is warmed up or annealed has its own value.
    """

    window: int
    gain: float
    begins: int

    def is_over(self, log: Sequence[Line], step: int) -> bool:
        """Whether the loss stays where it is, before step `step`: asked at the end of each window, but the first."""
        done = step - self.begins
        if done % self.window or done < 2 * self.window:
            return False
        before, last = (self._mean(log, step - back * self.window) for back in (2, 1))
        return last > (1 - self.gain) * before

    def _mean(self, log: Sequence[Line], start: int) -> float:
        return fmean(line["loss"] for line in log if "loss" in line and start <= line["step"] < start + self.window)

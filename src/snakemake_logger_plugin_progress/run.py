"""The state of one run: which steps wait, which are running and how far, how long the finished ones took."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from snakemake_logger_plugin_progress import estimate
from snakemake_logger_plugin_progress.display import clock, duration


@dataclass
class Step:
    """A step that is running."""

    name: str
    rule: str
    log: Path | None
    started: float = field(default_factory=time.monotonic)

    @property
    def elapsed(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.started

    @property
    def done(self) -> float | None:
        """The share of it that is done, by its log; None where the log does not tell."""
        return estimate.fraction_done(self._log_tail, estimate.stage_of(self.rule).bars)

    @property
    def described(self) -> str:
        """Its name, how far it is, and what it has spent."""
        done, spent = self.done, estimate.spent(self._log_tail)
        return " ".join(part for part in (self.name, "" if done is None else f"{done:.0%}", spent) if part)

    @property
    def _log_tail(self) -> str:
        return estimate.log_tail(self.log) if self.log else ""


class Run:
    """Steps move from `waiting` to `running`, and are counted when done.

    expected: seconds for each rule; None where no estimate can be made, and then only steps are counted.
    """

    def __init__(
        self, counts: Mapping[str, int], expected: dict[str, float] | None, needs: dict[str, set[str]], cores: int
    ) -> None:
        self.waiting = Counter(counts)
        self.total = self.waiting.total()
        self.expected, self.needs, self.cores = expected, needs, cores
        self.running: dict[int, Step] = {}
        self.took: list[tuple[float, float]] = []
        self.done = 0
        self.began = time.monotonic()
        self.furthest = 0.0

    def begin(self, job: int, step: Step) -> None:
        """A waiting step runs from now on."""
        self.waiting[step.rule] -= 1
        self.running[job] = step

    def finish(self, job: int) -> Step | None:
        """A running step is done; None for one that never began here."""
        step = self.running.pop(job, None)
        if step is not None:
            self.done += 1
            if self.expected is not None:
                self.took.append((step.elapsed, self.expected[step.rule]))
        return step

    def fail(self, job: int) -> Step | None:
        """A running step failed; None for one that never began here."""
        return self.running.pop(job, None)

    def seconds_left(self) -> float | None:
        """Seconds until the run ends; None where no estimate can be made."""
        if self.expected is None:
            return None
        return estimate.run_seconds_left(self._steps_left(self.expected), self.needs, self.cores)

    def _steps_left(self, expected: dict[str, float]) -> Iterable[tuple[str, float]]:
        pace = estimate.pace(self.took)
        for rule, count in self.waiting.items():
            yield from [(rule, expected[rule] * pace)] * count
        for step in self.running.values():
            yield step.rule, estimate.seconds_left(expected[step.rule] * pace, step.elapsed, step.done)

    def status(self) -> tuple[float, str]:
        """How far the run is, from 0 to 1 and never going back, and a line that says so."""
        left, elapsed = self.seconds_left(), time.monotonic() - self.began
        share = self.done / max(1, self.total) if left is None else elapsed / max(elapsed + left, 1e-9)
        self.furthest = max(self.furthest, min(share, 0.99))
        text = f"{self.done}/{self.total} steps"
        if left is not None:
            text += f", about {duration(left)} left, until {clock(left)}"
        names = [step.described for step in self.running.values()]
        return self.furthest, f"{text}: {', '.join(names)}" if names else text

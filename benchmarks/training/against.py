"""Our trainer of this checkout against that of another commit, in turn on one core, a process each.

The ratio of processor times, ours to theirs, is taken round by round: a busy moment of the machine meets both.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from safetensors.torch import save_file
from torch import Tensor

from benchmarks.results import ROOT
from benchmarks.training.contract import ALONE, Parameters, Setting
from benchmarks.training.problem import parameters_of, settings, timed_batches
from benchmarks.training.timing import WARM_UP

MOST = 1.03  # the median of ratios that a change may cost
ROUNDS_OF_A_PAIR = 10  # then both processes are made anew: where in memory one lies is luck, and lasts


@dataclass(frozen=True)
class Ratios:
    """Ours to theirs in one setting: median and quartiles over rounds; the median of ours in milliseconds."""

    setting: str
    median: float
    low: float
    high: float
    cpu_ms: float

    def line(self) -> str:
        """For people."""
        mark = "  SLOWER" if self.median > MOST else ""
        return f"{self.setting:24} {self.median:6.3f} [{self.low:.3f}, {self.high:.3f}]  {self.cpu_ms:8.2f} ms{mark}"


@contextmanager
def checkout_of(commit: str) -> Iterator[Path]:
    """A worktree of a commit of this repository, for as long as it is needed."""
    with tempfile.TemporaryDirectory() as above:
        folder = Path(above) / "checkout"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
        try:
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=True)


class Side:
    """The trainer of one checkout, in a process of its own that waits for its turns."""

    def __init__(self, checkout: Path, setting: Setting, file: Path) -> None:
        script = Path(__file__).with_name("turns.py")
        environment = os.environ | {"PYTHONPATH": f"{checkout}{os.pathsep}{checkout / 'src'}"}
        command = [sys.executable, "-P", str(script), str(checkout), json.dumps(asdict(setting)), str(file)]
        self._process = subprocess.Popen(
            command, cwd=checkout, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._hear()

    def turn(self, batch: int) -> float:
        """Milliseconds of processor time of a step on a batch."""
        assert self._process.stdin
        self._process.stdin.write(f"{batch}\n")
        self._process.stdin.flush()
        return float(self._hear())

    def _hear(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the trainer ended with status {self._process.wait()}")
        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def ratios(
    setting: Setting, parameters: list[Parameters], batches: tuple[Tensor, ...], theirs: Path, rounds: int, ours: Path
) -> Ratios:
    """Both trainers of a setting, from the same weights on the same batches; who begins changes every round."""
    tensors = {f"{number}.{name}": value for number, own in enumerate(parameters) for name, value in own.items()}
    tensors |= {str(number): batch for number, batch in enumerate(batches)}
    costs: list[list[float]] = [[], []]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "given.safetensors"
        save_file({name: value.contiguous() for name, value in tensors.items()}, file)
        for first in range(0, rounds, ROUNDS_OF_A_PAIR):
            with ExitStack() as stack:
                sides = [stack.enter_context(Side(checkout, setting, file)) for checkout in (ours, theirs)]
                for side in sides:
                    for _ in range(WARM_UP):
                        side.turn(len(batches) - 1)
                for number in range(first, min(first + ROUNDS_OF_A_PAIR, rounds)):
                    for which in (number % 2, 1 - number % 2):
                        costs[which].append(sides[which].turn(number // 2 % len(batches)))
    each = [own / other for own, other in zip(*costs, strict=True)]
    low, median, high = statistics.quantiles(each, n=4)
    return Ratios(setting.name, median, low, high, statistics.median(costs[0]))


def against(commit: str, rounds: int, only: str) -> list[Ratios]:
    """All settings, or those with `only` in their name: fewer members than in the report, for they are all alike."""
    found = []
    with checkout_of(commit) as theirs:
        for setting in settings():
            if only in setting.name:
                parameters = parameters_of(setting)[:ALONE]
                few = replace(setting, l1=setting.l1[:ALONE])
                found.append(ratios(few, parameters, timed_batches(setting), theirs, rounds, ROOT))
                print(found[-1].line(), flush=True)
    return found

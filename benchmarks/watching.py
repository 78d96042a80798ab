"""What the jobs of a run really take: their own memory and processor time, by looking at them 50 times a second.

Snakemake's own benchmark files look too seldom for jobs of seconds, and count mapped files as memory. Linux only.
"""

import os
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")
PERIOD = 0.02  # seconds


@dataclass
class Taken:
    """memory: most bytes that a job held as its own; seconds: processor time, by process, with finished children."""

    memory: int = 0
    by_process: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Processor time of all its processes."""
        return sum(self.by_process.values())


def watched(folder: Path, command: list[str], environment: dict[str, str]) -> tuple[int, dict[str, Taken]]:
    """Run a command in `folder`: its exit status, and what each job of the workflow took."""
    found: dict[str, Taken] = {}
    log = folder / "watched.log"
    with log.open("w", encoding="utf-8") as file:
        run = subprocess.Popen(command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT)
        while run.poll() is None:
            for process in filter(str.isdigit, os.listdir("/proc")):
                _look(process, folder, found)
            time.sleep(PERIOD)
    return run.returncode, found


def _look(process: str, folder: Path, found: dict[str, Taken]) -> None:
    place = Path("/proc") / process
    try:
        words = (place / "cmdline").read_text().split("\0")
        if "sparse_coding.workflow" not in words or os.readlink(place / "cwd") != str(folder.resolve()):
            return
        order = next(word for word in words if word.endswith(".json"))
        status = (place / "status").read_text()
        own = sum(int(re.search(rf"{name}:\s+(\d+)", status)[1]) for name in ("RssAnon", "RssShmem"))  # type: ignore[index]
        times = (place / "stat").read_text().rsplit(")", 1)[1].split()[11:15]
    except (OSError, StopIteration, TypeError):
        return  # it ended meanwhile
    taken = found.setdefault(re.sub(r"-[0-9a-f]{12}\.json$", "", Path(order).name), Taken())
    taken.memory = max(taken.memory, own * 1024)
    taken.by_process[process] = sum(map(int, times)) / TICK

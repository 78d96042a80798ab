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
MEMORY = ("RssAnon", "RssShmem", "RssFile", "VmHWM")


@dataclass
class Taken:
    """memory: most bytes that a job held as its own; seconds: processor time, by process, with finished children.

    A peak that falls between two looks shows in the most that the kernel saw resident, of which as much is taken away
    as was ever seen mapped from files.
    """

    memory: int = 0
    mapped: int = 0
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
        said = dict(re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE))
        anonymous, shared, mapped, most = (1024 * int(said[name]) for name in MEMORY)
        times = (place / "stat").read_text().rsplit(")", 1)[1].split()[11:15]
    except (OSError, StopIteration, KeyError):
        return  # it ended meanwhile
    taken = found.setdefault(re.sub(r"-[0-9a-f]{12}\.json$", "", Path(order).name), Taken())
    taken.mapped = max(taken.mapped, mapped)
    taken.memory = max(taken.memory, anonymous + shared, most - taken.mapped)
    taken.by_process[process] = sum(map(int, times)) / TICK

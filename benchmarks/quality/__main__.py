"""Quality, ours and others': `python -m benchmarks.quality`, in the project's own environment.

    --here        only what this environment can train; without it the peers are trained first, in build/bench
    --only TEXT   trainers and kinds, written `trainer kind`, that have TEXT in it
    --minutes N   begin no training after so many

Each training is a line of benchmarks/quality/results.jsonl; what has one is not trained again: to train some anew, take
their lines out. One process, one thread.
"""

import argparse
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import torch

from benchmarks import results
from benchmarks.quality import lines, vectors
from benchmarks.quality.contract import BATCH, RATIO, STEPS, Task
from benchmarks.quality.plan import next_task
from benchmarks.quality.runs import outcome, trained, versions
from benchmarks.quality.trainers import Entry, here, learner
from benchmarks.results import ROOT
from sparse_coding.io import dictionaries as files

PEERS = ROOT / "build" / "bench" / "bin" / "python"
PATHS = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
KEPT = vectors.FOLDER / "dictionaries"
WARM_UP, WARM = 50, set[tuple[str, str]]()  # steps; kinds of trainers that have taken them in this process


def first_of(entries: list[Entry], there: list[lines.Line]) -> Task | None:
    """The next training: every entry has come through a phase before any goes on to the next one."""
    waiting = [found for entry in entries if (found := next_task(entry, there)) is not None]
    return min(waiting, key=lambda found: found[0])[1] if waiting else None


def line_of(task: Task, source: vectors.Vectors, keep: Path | None = KEPT) -> lines.Line:
    """Train, measure, and keep the dictionary. A training that diverges is a line that says so."""
    torch.manual_seed(task.seed)
    line = task.facts() | {"steps": STEPS, "batch": BATCH, "versions": versions()}
    line |= {"date": datetime.now(UTC).date().isoformat()}
    try:
        if (task.trainer, task.kind) not in WARM:  # what is compiled at the first step is no cost of training
            trained(learner(task, (RATIO * source.d_act, source.d_act)), source, WARM_UP)
            WARM.add((task.trainer, task.kind))
        one = learner(task, (RATIO * source.d_act, source.d_act))
        clock = trained(one, source)
        line |= outcome(one, source)
    except ArithmeticError as error:
        return line | {"failed": str(error)}
    if keep is not None:
        files.save(keep / f"{task.name}.safetensors", one.dictionary(), task.facts())
    return line | {"seconds": round(clock.seconds, 2), "curve": clock.curve}


def train(entries: list[Entry], minutes: float, file: Path = lines.FILE) -> None:
    """All that is not there yet."""
    began, source = time.monotonic(), vectors.load()
    while (task := first_of(entries, lines.read(file))) is not None and time.monotonic() - began < 60 * minutes:
        line = line_of(task, source)
        lines.add(line, file)
        said = line.get("failed") or "FVU {fvu:.4f}  L0 {l0:.1f}  dead {dead}  {seconds:.0f} s".format(**line)
        print(f"{task.name:44} {said}", file=sys.stderr, flush=True)


def main() -> None:
    """Train, and say what is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__.splitlines()[0])
    parser.add_argument("--here", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.here:
        if not vectors.FILE.exists():
            vectors.write()
        if PEERS.exists():
            subprocess.run(
                [PEERS, "-m", "benchmarks.quality", "--here", *sys.argv[1:]], cwd=ROOT, check=True, env=PATHS
            )
    entries, missing = here()
    print(*missing, sep="\n", file=sys.stderr)
    train([each for each in entries if options.only in f"{each.trainer} {each.kind}"], options.minutes)
    if not options.here:
        concluded()


def concluded() -> None:
    """What the language model loses, and the section of the report; `python -m benchmarks.report` writes the page."""
    from benchmarks.quality import section, splicing

    there = lines.read()
    splicing.spliced(splicing.wanted(section.entries_of(there), there), vectors.load())
    results.merge("quality", section.section(lines.read()))


if __name__ == "__main__":
    main()

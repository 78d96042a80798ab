"""Training, ours and others': `python -m benchmarks.training`, in an environment that has the peers.

    --rounds N    how often every trainer is timed in every setting
    --only TEXT   settings whose name has TEXT in it; nothing is written, it is for development
    --against COMMIT   ours against ours of another commit, 30 rounds unless told; nothing is written, and it fails
                       where a median of the ratios of processor time is above 1.03

Writes the section `training` of benchmarks/results.json, or `training_without_int8` on a processor without fast
products of int8, where our step is another, and slower. One process, one core, one thread but for the children.
"""

import argparse
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import torch

from benchmarks.results import ROOT, machine, merge
from benchmarks.training.against import MOST, against
from benchmarks.training.contract import Setting
from benchmarks.training.limits import limits
from benchmarks.training.problem import l0_of, parameters_of, settings, timed_batches
from benchmarks.training.timing import rounds_of, rows_of
from benchmarks.training.trainers import OURS, Entry, available, built, notes
from sparse_coding.core.products import int8_is_fast

MEMORY = (("d512 untied L0 50", 1), ("d512 untied L0 50", 2), ("d512 untied dense", 1))


def pin() -> None:
    """Keep this process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def measured(setting: Setting, entries: list[Entry], rounds: int) -> dict[str, Any]:
    """All trainers of one setting, with the loss that each sees before its first step."""
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    parameters, batches = parameters_of(setting), timed_batches(setting)  # trains some, on all cores
    l0 = l0_of(setting, parameters)
    trainers, refused = built(entries, setting, parameters)
    losses = {name: trainer.loss(batches[0]) for name, trainer in trainers.items()}
    pin()
    try:
        rows = rows_of(rounds_of(trainers | limits(setting), batches, rounds))
    finally:
        if cores:
            os.sched_setaffinity(0, cores)
    for row in rows:
        trainer = trainers.get(row["trainer"])
        if trainer is not None:
            row["members"] = trainer.members
            row["loss_off"] = off(losses[row["trainer"]], losses[OURS])
    facts = {"architecture": setting.architecture, "n_feat": setting.n_feat, "d_act": setting.d_act}
    facts |= {"batch": setting.batch, "sparsity": setting.sparsity, "l0": l0, "refused": refused, "rows": rows}
    return {"name": setting.name, **facts}


def off(losses: list[float], ours: list[float]) -> float:
    """The largest relative difference from the losses of ours on the same weights and vectors."""
    return max(abs(loss / own - 1) for loss, own in zip(losses, ours, strict=False))


def child(module: str, *arguments: str) -> list[dict[str, Any]]:
    """The rows that a module of this package prints, run in a process of its own."""
    command = [sys.executable, "-m", f"benchmarks.training.{module}", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def show(result: dict[str, Any]) -> None:
    """A setting's figures, as they come."""
    l0 = result["l0"]
    print(f"\n{result['name']}, L0 {min(l0):.0f} to {max(l0):.0f}", *result["refused"], file=sys.stderr)
    for row in result["rows"]:
        cpu, ratio = row["cpu_ms"], row["cpu_ratio"]
        text = f"  {row['trainer']:28} {cpu['median']:8.2f} ms cpu {row['wall_ms']['median']:8.2f} ms wall"
        text += f"  {ratio['median']:6.2f} x [{ratio['least']:.2f}, {ratio['most']:.2f}]"
        print(text, f"  loss off {row['loss_off']:.1e}" if "loss_off" in row else "", file=sys.stderr, flush=True)


def main() -> None:
    """Measure, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", default="")
    parser.add_argument("--against", metavar="COMMIT")
    options = parser.parse_args()
    if options.against:
        pin()
        slower = [each for each in against(options.against, options.rounds or 30, options.only) if each.median > MOST]
        raise SystemExit(f"slower than {MOST}: {len(slower)} settings" if slower else 0)
    rounds = options.rounds or 5
    torch.set_num_threads(1)
    began, load = datetime.now(UTC), os.getloadavg()[0]  # of others, before this one begins
    entries, missing = available()
    print(*missing, sep="\n", file=sys.stderr)
    results = []
    for setting in settings():
        if options.only in setting.name:
            results.append(measured(setting, entries, rounds))
            show(results[-1])
    if options.only:
        return
    facts = {"date": began.date().isoformat(), "load": round(load, 1)}
    facts["vectors"] = torch.backends.cpu.get_cpu_capability()
    section = {
        "machine": machine(("torch", "numba")) | facts,
        "rounds": rounds,
        "settings": results,
        "threads": child("threads", str(rounds)),
        "memory": [row for name, threads in MEMORY for row in child("memory", name, str(threads))]
        if sys.platform == "linux"
        else [],
        "notes": notes(entries),
        "missing": missing,
        "seconds": (datetime.now(UTC) - began).total_seconds(),
    }
    merge("training" if int8_is_fast() else "training_without_int8", section)


if __name__ == "__main__":
    main()

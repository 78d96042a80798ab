"""Peak memory of ours above weights and Adam state: `python -m benchmarks.training.memory SETTING THREADS`.

Prints a row as JSON. A process of its own, because the peak is that of a process: /proc/self/status has it (VmHWM),
and writing 5 to /proc/self/clear_refs sets it back. Linux only.
"""

import ctypes
import gc
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.training.contract import Setting
from benchmarks.training.ours import Ours
from benchmarks.training.problem import parameters_of, settings, timed_batches
from benchmarks.training.timing import WARM_UP
from sparse_coding.core.training import processor

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
MIB = 2**20


def resident(field: str) -> int:
    """VmRSS (now) or VmHWM (the most so far) in bytes."""
    line = next(line for line in STATUS.read_text(encoding="utf-8").splitlines() if line.startswith(f"{field}:"))
    return 1024 * int(line.split()[1])


def give_back() -> None:
    """Return freed memory to the system, or the rise would be hidden in it. glibc has the call, others may not."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def warm_up(setting: Setting) -> None:
    """Compile what is compiled and load what is loaded, on a problem too small to be seen."""
    for sparsity in ("L0 20", "dense"):
        small = replace(setting, n_feat=256, batch=64, sparsity=sparsity)
        member = Ours(small, parameters_of(small)[:1])
        for _ in range(WARM_UP + 1):
            member.step(timed_batches(small)[0])


def main(name: str, threads: int) -> None:
    """Train the members of a setting, `threads` at a time, and see how high the memory rises."""
    torch.set_num_threads(1)
    setting = next(setting for setting in settings() if setting.name == name)
    warm_up(setting)
    parameters, batches = parameters_of(setting), timed_batches(setting)
    give_back()
    CLEAR.write_text("5", encoding="utf-8")
    before = resident("VmRSS")
    grid = Ours(setting, parameters)
    processor.train(grid.dictionaries, iter(batches), threads)
    rise = resident("VmHWM") - before
    weights = sum(tensor.nbytes for member in grid.dictionaries for tensor in member.parameters.values())
    note = f"weights and moments: {3 * weights / MIB:.0f} MiB; dense codes of one batch: {dense_codes(setting):.0f} MiB"
    what = f"{name}: {grid.members} members, {threads} at a time, peak above weights and moments"
    print(json.dumps([{"what": what, "value": (rise - 3 * weights) / MIB, "unit": "MiB", "note": note}]))


def dense_codes(setting: Setting) -> float:
    """MiB of the [batch, n_feat] matrix that dense trainers hold several times."""
    return 4 * setting.batch * setting.n_feat / MIB


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

"""Before a run: whether disk and memory will do for what is really to be made."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.forecast.counting import amounts, machine, sums
from sparse_coding.forecast.counting.sums import Sums
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.settings import jobs
from sparse_coding.settings.params import Params

RESULTS, WORK = Path("results"), Path(".work")
FREE = "free"
VERSIONING = "DVC_STAGE"  # set by DVC for the commands that it runs
SHOWN = 3  # parts of a sum that are named


def of(params: Params) -> Callable[[Mapping[str, Sequence[str]], int], BadInput | None]:
    """What tells the workflow whether it can do what it is to do: artifacts by job, on so many cores."""
    return partial(problem, params, with_copies=VERSIONING in os.environ)


def problem(
    params: Params, todo: Mapping[str, Sequence[str]], cores: int, with_copies: bool = False
) -> BadInput | None:
    """What is in the way of making `todo`, artifacts by job; None: nothing, or their sizes cannot be known.

    with_copies: DVC will keep a copy of what it versions.
    """
    known = jobs.of_params(params)
    wanted = {name: job for name, job in known.items() if todo.get(name)}
    if not wanted:
        return None
    try:
        found = sums.of_jobs(wanted, Sizes(params), cores, todo)
    except BadInput as error:
        print(f"whether disk and memory will do is not known before the run: {error}", file=sys.stderr)
        return None
    return _disk(params, found, with_copies) or _memory(params, found, cores)


def _disk(params: Params, found: Sums, with_copies: bool) -> BadInput | None:
    work, copies = found.work + found.unfinished, found.copies if with_copies else 0
    if params.machine.disk is not None:
        needed = [("machine.disk", found.written + work + copies, round(params.machine.disk * amounts.GIB))]
    elif machine.is_same_disk(RESULTS, WORK):
        needed = [(str(RESULTS), found.written + work + copies, machine.disk(RESULTS))]
    else:
        needed = [
            (str(RESULTS), found.written, machine.disk(RESULTS)),
            (str(WORK), work + found.passing + copies, machine.disk(WORK)),
        ]
    for place, bytes_needed, free in needed:
        if bytes_needed > free:
            parts = found.by_stage(found.results) | ({"copies for DVC": copies} if copies else {})
            parts |= {"trainings under way": found.unfinished} if found.unfinished else {}
            return BadInput(
                f"disk ({place})", f"{amounts.memory(free)} {_kind(params.machine.disk)}",
                f"{amounts.memory(bytes_needed)} for what is to be made: {_parts(parts)}. What would help: "
                "fewer sites, dataset.train_tokens, activations.dtype float16; `sparse_coding clean`; machine.disk",
            )  # fmt: skip
    return None


def _memory(params: Params, found: Sums, cores: int) -> BadInput | None:
    own = params.machine.memory
    most = machine.memory() if own is None else round(own * amounts.GIB)
    largest = max(found.peaks, key=lambda name: found.peaks[name])
    if found.memory > most:
        needed, parts = found.memory, {name: float(found.peaks[name]) for name in found.beside}
    elif found.peaks[largest] > machine.of_one_process():
        needed, parts, most = found.peaks[largest], {largest: float(found.peaks[largest])}, machine.of_one_process()
    else:
        return None
    alone = sums.of_jobs(found.jobs, Sizes(params), 1).memory if cores > 1 else needed
    help_ = ["--cores 1"] if alone <= most else []
    return BadInput(
        "memory" + (" (machine.memory)" if own is not None else ""), f"{amounts.memory(most)} {_kind(own)}",
        f"{amounts.memory(needed)} on {cores} cores: {_parts(parts)}. What would help: "
        + ", ".join([*help_, *_remedies(found, largest), "machine.memory where you know better"]),
    )  # fmt: skip


def _remedies(found: Sums, largest: str) -> list[str]:
    by_stage = {
        "dictionaries": ["a smaller dictionaries.side_by_side, dictionaries.buffer_rows or largest of grid.ratios"],
        "evaluation": ["a smaller evaluation.batch_blocks or largest of grid.ratios"],
        "activations": ["a smaller activations.batch_tokens or activations.sites_per_pass"],
        "autointerp": ["fewer autointerp.features or dataset.fragments"],
        "baselines": ["fewer baselines.ica_rows or baselines.nmf_rows"],
        "dataset": ["dataset.streaming", "fewer dataset.train_tokens"],
        "transformer": ["a smaller transformer.batch"],
        "toy": ["fewer toy.l1 or smaller toy.ratios"],
    }
    return by_stage.get(found.jobs[largest].stage, [])


def _kind(own: float | None) -> str:
    return FREE if own is None else "allowed"


def _parts(parts: Mapping[str, float]) -> str:
    ordered = sorted(parts.items(), key=lambda part: -part[1])
    shown = [f"{name} {amounts.memory(size)}" for name, size in ordered[:SHOWN]]
    rest = sum(size for _, size in ordered[SHOWN:])
    return ", ".join([*shown, *([f"others {amounts.memory(rest)}"] if rest else [])])

"""What the language model loses with the dictionaries of a comparison; needs the project's own environment.

A line for each at its trainer's best rate: `of`, the name of the training; loss recovered. For L1 kinds, whose codes
are shrunk, lines more for the variants that evaluation has of them.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.quality import lines
from benchmarks.quality.contract import Task
from benchmarks.quality.plan import Done
from benchmarks.quality.runs import measured
from benchmarks.quality.trainers import Entry
from benchmarks.quality.vectors import FOLDER, SITE, Vectors
from benchmarks.results import ROOT
from sparse_coding.core import variants as recodings
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.io import dictionaries as files
from sparse_coding.io import tokens
from sparse_coding.lm import losses
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings import params_file, sites

AT_A_TIME, REFIT_ROWS = 8, 65_536
SHRUNK, REFITS = ("tied", "untied"), ("gain_refit", "threshold_refit")
KEPT = FOLDER / "dictionaries"
TOKENS = ROOT / "results" / "dataset" / "tokens.h5"


@dataclass(frozen=True, eq=False)
class Spliced:
    """A dictionary on normalised vectors; variant: one of sparse_coding.variants, or plain."""

    of: str
    variant: str
    dictionary: Dictionary

    def on(self, source: Vectors) -> Dictionary:
        """The same on vectors as they are."""
        own, scale = self.dictionary, source.scale
        threshold = None if own.threshold is None else own.threshold * scale
        centre = source.mean + scale * own.centre
        return replace(own, bias=own.bias * scale, centre=centre, threshold=threshold)


def wanted(entries: list[Entry], there: list[lines.Line]) -> list[Task]:
    """Trainings at the best rates whose dictionaries are here and were not spliced yet."""
    known, found = {line["of"] for line in there if "of" in line}, []
    for entry in entries:
        done = Done(entry, there)
        found += [task for task, line in done.lines.items() if task.rate == done.best_rate() and "failed" not in line]
    return [task for task in found if task.name not in known and file_of(task).exists()]


def file_of(task: Task) -> Path:
    """Where a training left its dictionary."""
    return KEPT / f"{task.name}.safetensors"


def variants(task: Task, source: Vectors) -> Iterator[Spliced]:
    """As it is, and in each variant that it has."""
    dictionary = files.load(file_of(task))
    yield Spliced(task.name, "plain", dictionary)
    for name in REFITS if task.kind in SHRUNK else ():
        refit, rows = recodings.build(name), source.normal(source.train[:REFIT_ROWS]).split(1024)
        fitted = refit.fit(dictionary, lambda rows=rows: rows)
        yield Spliced(task.name, name, refit.dictionary(dictionary, fitted))


def spliced(tasks: list[Task], source: Vectors, file: Path = lines.FILE) -> None:
    """A line for each variant."""
    params = params_file.load(ROOT / "params.yaml")
    site, corpus, model = sites.parse(SITE), tokens.load(TOKENS), LanguageModel.load(params.model)
    columns = losses.measured(model, site, corpus, source.mean, params.evaluation, 1)
    held_out = source.normal(source.held_out)
    for first in range(0, len(tasks), AT_A_TIME):
        some = [each for task in tasks[first : first + AT_A_TIME] for each in variants(task, source)]
        replacements = [each.on(source).reconstruct for each in some]
        for each, row in zip(some, columns(replacements), strict=True):
            lines.add(line_of(each, row, held_out), file)
        print(f"spliced {min(first + AT_A_TIME, len(tasks))} of {len(tasks)}", file=sys.stderr, flush=True)


def line_of(one: Spliced, row: dict[str, Any], held_out: Tensor) -> lines.Line:
    """What is kept of it."""
    found = measured(one.dictionary, held_out) | {name: row[name] for name in ("loss_recovered", "ce", "ce_clean")}
    return {"of": one.of, "variant": one.variant, **found}

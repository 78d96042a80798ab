"""Which learning rate suits which kind: `python -m benchmarks.quality.rates [KIND ...]`, after `snakemake`.

    --sites A B    whose vectors are in results/activations, pairs too; those of the default without it
    --ratios 2 4   features per dimension
    --batch N      vectors a step, 1024 without it; with more there are fewer steps, so that all see the same vectors
    --rates ...    those of RATES without it
    --strengths    of l1, k or l0, as the kind has it; those of STRENGTHS without it
    --table        print what is there, and train nothing

A cell of the default's strengths at each rate, a line of benchmarks/quality/rates.jsonl a dictionary: FVU, L0 and dead
features on held-out vectors. What lines are there of is not trained again. One thread.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.quality import lines
from benchmarks.quality.contract import BATCH, STEPS
from benchmarks.quality.interpolated import at_l0
from benchmarks.quality.runs import measured
from benchmarks.results import ROOT
from sparse_coding import methods
from sparse_coding.io import dictionaries as files
from sparse_coding.io.activations import open_site
from sparse_coding.settings import declared, grid, params_file, slices
from sparse_coding.settings.params import Params
from sparse_coding.stages import dictionaries

FILE = lines.FILE.with_name("rates.jsonl")
RATES = (2e-3, 4e-3, 1e-2, 2e-2)
L0S = (4.0, 8.0, 16.0, 32.0)
STRENGTHS: dict[str, tuple[float, ...]] = {
    "l1": (0.0004, 0.0008, 0.0016, 0.003),
    "k": (4, 8, 16, 32),
    "l0": (8, 16, 32),
}


@dataclass(frozen=True)
class Cell:
    """Dictionaries of one kind at one rate, which differ in their strength alone."""

    kind: str
    site: str
    ratio: float
    batch: int
    rate: float
    seed: int = 0

    @property
    def strength(self) -> str:
        """What they differ in."""
        return methods.of(self.kind).varies_in

    def settings(self, strengths: list[float]) -> slices.DictionariesSlice:
        """By params.yaml, but for what the cell says."""
        raw = params_file.load(ROOT / "params.yaml").model_dump(mode="json")
        raw["grid"] |= {"sites": [self.site], "architectures": [self.kind], "ratios": [self.ratio]}
        raw["grid"] |= {"seeds": [self.seed], "only": [], "l0": []} | {self.strength: strengths}
        raw["dictionaries"] |= {"batch": self.batch, "steps": STEPS * BATCH // self.batch}
        own = raw["dictionaries"][self.kind]
        own |= {"lr": self.rate} | ({"lr_grows_to": None} if "lr_grows_to" in own else {})
        params = Params.model_validate(raw)
        (cell,) = grid.cells(params, self.site)
        return slices.dictionaries(params, cell)

    def lines(self, strengths: list[float]) -> Iterable[lines.Line]:
        """Train and measure them. A member that diverges ends them all: a line that says so."""
        settings, at = (
            self.settings(strengths),
            {what: ROOT / path for what, path in declared.vectors_of(self.site).items()},
        )
        with tempfile.TemporaryDirectory() as folder, open_site(**at) as file:
            try:
                dictionaries.run(settings, **at, output=Path(folder), threads=1)
            except ArithmeticError as error:
                yield asdict(self) | {"failed": str(error)}
                return
            split = file.split("held_out")
            z = split.read(0, split.n_rows)
            for name, member in settings.members.items():
                found = measured(files.load(Path(folder) / f"{name}.safetensors"), z, file.cut)
                yield asdict(self) | {"strength": member.value, **found}


def cell_of(line: lines.Line) -> Cell:
    """The cell that a line is of."""
    return Cell(**{name: line[name] for name in Cell.__dataclass_fields__})


def missing(cell: Cell, wanted: Iterable[float]) -> list[float]:
    """The strengths that no line is of; none of them where a member diverged."""
    there = [line for line in lines.read(FILE) if cell_of(line) == cell]
    done = {line.get("strength") for line in there}
    return [] if any("failed" in line for line in there) else [each for each in wanted if each not in done]


def table(there: list[lines.Line]) -> str:
    """A row an L0: at each rate FVU, and the share of dead features, read between dictionaries."""
    rows: dict[tuple[Any, ...], dict[float, list[lines.Line]]] = defaultdict(lambda: defaultdict(list))
    for line in (each for each in there if "failed" not in each):
        rows[line["kind"], line["site"], line["ratio"], line["batch"]][line["rate"]].append(line)
    rates = sorted({rate for row in rows.values() for rate in row})
    found = [["kind", "site", "ratio", "batch", "L0", *(f"{rate:g}" for rate in rates)]]
    found.append(["---"] * len(found[0]))
    for (kind, site, ratio, batch), row in sorted(rows.items()):
        for l0 in L0S:
            cells = [at(row[rate], l0) if rate in row else "" for rate in rates]
            found.append([kind, site, f"{ratio:g}", str(batch), f"{l0:g}", *cells])
    return "\n".join(f"| {' | '.join(row)} |" for row in found)


def at(there: list[lines.Line], l0: float, digits: int = 4) -> str:
    """FVU at an L0, with dead features in brackets where there are any; empty where it cannot be read."""
    fvu = at_l0([(line["l0"], line["fvu"]) for line in there], l0)
    dead = at_l0([(line["l0"], line["dead"]) for line in there], l0)
    if fvu is None or dead is None:
        return ""
    return f"{fvu:.{digits}f}" + (f" ({dead:.0f})" if dead >= 0.5 else "")


def main() -> None:
    """All that is not there yet."""
    default = params_file.load(ROOT / "params.yaml").grid.sites
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.rates", description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=["tied", "untied", "topk"])
    parser.add_argument("--sites", nargs="+", default=default)
    parser.add_argument("--ratios", nargs="+", type=float, default=[4.0])
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    parser.add_argument("--strengths", nargs="+", type=float)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    each = (
        Cell(kind, site, ratio, given.batch, rate)
        for kind in given.kinds for ratio in given.ratios for site in given.sites for rate in given.rates
    )  # fmt: skip
    for cell in () if given.table else each:
        if strengths := missing(cell, given.strengths or STRENGTHS[cell.strength]):
            for line in list(cell.lines(strengths)):
                lines.add(line, FILE)
            print(*asdict(cell).values(), "done", file=sys.stderr, flush=True)
    print(table(lines.read(FILE)))


if __name__ == "__main__":
    main()

"""How near dictionaries come to a wished L0: `python -m benchmarks.quality.wished [KIND ...]`, after `snakemake`.

    --sites A B    of params.yaml, pairs too; those of the default without it
    --seeds ...    0, 1 and 2 without it
    --table        print what is there, and train nothing

A cell of the WISHES, all else by params.yaml, a line of benchmarks/quality/wished.jsonl a dictionary: L0 of all
held-out vectors, and of those that were counted in training; FVU and dead features; processor seconds, and what came
out as L1, as k or as the L0 in the penalty. Cells whose lines are there are not trained again. One thread.

A kind meets the sites that it is for: transcoders pairs of places. RICA has no wish: its codes are never 0.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.quality import lines
from benchmarks.quality.contract import SEEDS
from benchmarks.quality.runs import measured
from benchmarks.results import ROOT
from sparse_coding import methods
from sparse_coding.io import dictionaries as files
from sparse_coding.io.activations import open_site
from sparse_coding.settings import declared, grid, params_file, slices
from sparse_coding.settings.params import Params
from sparse_coding.stages import dictionaries

FILE = lines.FILE.with_name("wished.jsonl")
RATIO = 4.0
WISHES = (8.0, 16.0, 32.0)
KINDS = (
    "untied", "tied", "jumprelu", "batchtopk", "matryoshka", "topk", "topk_aux", "gated",
    "thresholding", "semilinear", "lista", "reverse", "positive", "transcoder", "skip_transcoder",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """Dictionaries of one kind, one for each of WISHES."""

    kind: str
    site: str
    seed: int = 0

    def settings(self) -> slices.DictionariesSlice:
        """By params.yaml, but for what the cell says."""
        raw = params_file.load(ROOT / "params.yaml").model_dump(mode="json")
        raw["grid"] |= {"sites": [self.site], "architectures": [self.kind], "ratios": [RATIO], "seeds": [self.seed]}
        raw["grid"] |= {"only": [], methods.of(self.kind).varies_in: [], "l0": list(WISHES)}
        params = Params.model_validate(raw)
        (cell,) = grid.cells(params, self.site)
        return slices.dictionaries(params, cell)

    def lines(self) -> Iterable[lines.Line]:
        """Train and measure them. A member that diverges ends them all: a line that says so."""
        settings = self.settings()
        at = {what: ROOT / path for what, path in declared.vectors_of(self.site).items()}
        with tempfile.TemporaryDirectory() as folder, open_site(**at) as file:
            began = time.process_time()
            try:
                dictionaries.run(settings, **at, output=Path(folder), threads=1)
            except ArithmeticError as error:
                yield asdict(self) | {"failed": str(error)}
                return
            seconds = round((time.process_time() - began) / len(settings.members), 2)
            split = file.split("held_out")
            x = split.read(0, split.n_rows)
            for name, member in settings.members.items():
                one, told = files.load_with_settings(Path(folder) / f"{name}.safetensors")
                matched = told.get("matched", {"l0": None, "value": told["k"]})  # without: its k is the wish
                came = {"counted": matched["l0"], "strength": matched["value"], "seconds": seconds}
                yield asdict(self) | {"wish": member.l0, **measured(one, x, file.cut), **came}


def cell_of(line: lines.Line) -> Cell:
    """The cell that a line is of."""
    return Cell(**{name: line[name] for name in Cell.__dataclass_fields__})


def fitting(kind: str, sites: Iterable[str]) -> list[str]:
    """The sites that a kind is for."""
    return [site for site in sites if (len(declared.vectors_of(site)) > 1) == methods.of(kind).pairs]


def rows(there: list[lines.Line]) -> list[tuple[str, str, list[lines.Line]]]:
    """Kind, site and lines of each, without trainings that diverged."""
    found: dict[tuple[str, str], list[lines.Line]] = defaultdict(list)
    for line in (each for each in there if "failed" not in each):
        found[line["kind"], line["site"]].append(line)
    return [(*key, found[key]) for key in sorted(found, key=lambda key: (KINDS.index(key[0]), key[1]))]


def table(there: list[lines.Line]) -> str:
    """A row a kind and site: at each wish how far L0 is below and above it at most, over seeds."""
    found = [["kind", "site", "seeds", *(f"{wish:g}" for wish in WISHES)]]
    found.append(["---"] * len(found[0]))
    for kind, site, row in rows(there):
        seeds = ", ".join(str(seed) for seed in sorted({line["seed"] for line in row}))
        found.append([kind, site, seeds, *(off(row, wish) for wish in WISHES)])
    return "\n".join(f"| {' | '.join(row)} |" for row in found)


def off(there: list[lines.Line], wish: float) -> str:
    """The least and the most L0 beside the wish, in percent of it; empty where nobody wished it."""
    shares = [round(100 * (line["l0"] / wish - 1), 1) + 0.0 for line in there if line["wish"] == wish]
    if not shares:
        return ""
    least, most = (f"{share:+.1f}" if share else "0.0" for share in (min(shares), max(shares)))
    return f"{least} %" if least == most else f"{least} to {most} %"


def main() -> None:
    """All that is not there yet: a kind after the other, and of each a seed after the other."""
    default = params_file.load(ROOT / "params.yaml").grid.sites
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.wished", description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", default=KINDS)
    parser.add_argument("--sites", nargs="+", default=default)
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    each = (
        Cell(kind, site, seed) for kind in given.kinds for seed in given.seeds for site in fitting(kind, given.sites)
    )
    for cell in () if given.table else each:
        if cell not in {cell_of(line) for line in lines.read(FILE)}:
            for line in list(cell.lines()):
                lines.add(line, FILE)
            print(*asdict(cell).values(), "done", file=sys.stderr, flush=True)
    print(table(lines.read(FILE)))


if __name__ == "__main__":
    main()

"""Tables of docs that hold what was measured: `python -m benchmarks.quality.tables` writes them into their pages.

Each stands between two comments that name it, and a test holds the pages to the lines in this folder.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.quality import lines, rates, wished
from benchmarks.quality.contract import L0S
from benchmarks.quality.page import number
from benchmarks.quality.section import spread
from benchmarks.quality.trainers import OURS
from benchmarks.report import table
from sparse_coding import methods
from sparse_coding.atomic import whole_file

Line = lines.Line
Rows = list[list[str]]
SHOWN = "layer 2"  # the site of docs/architectures.md
ORIGINALS = ("thresholding", "semilinear", "lista", "reverse", "positive")
PAIRS = ("transcoder", "skip_transcoder")


def layer(site: str) -> str:
    """As pages name a site: its kind says whether it is a residual stream or a pair of places."""
    return f"layer {site.removeprefix('layer').partition('_')[0]}"


def label(kind: str) -> str:
    """As pages name a kind."""
    return methods.of(kind).label


def table_of_wishes() -> Rows:
    """At each wish how far L0 is below and above it at most, over seeds; a row a kind and site."""
    found = [["", "site", "seeds", *(f"{wish:g}" for wish in wished.WISHES)]]
    for kind, site, own in wished.rows(lines.read(wished.FILE)):
        seeds = sorted({line["seed"] for line in own})
        named = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 2 else ", ".join(map(str, seeds))
        found.append([label(kind), layer(site), named, *(wished.off(own, wish) for wish in wished.WISHES)])
    return found


def table_of_rates() -> Rows:
    """FVU at an L0, with dead features in brackets: a row a kind, width and L0, a column a site and rate."""
    there = [line for line in lines.read(rates.FILE) if "failed" not in line]
    columns = sorted({(layer(line["site"]), line["rate"]) for line in there})
    cells: dict[Any, dict[Any, list[Line]]] = defaultdict(lambda: defaultdict(list))
    for line in there:
        cells[line["ratio"], line["kind"]][layer(line["site"]), line["rate"]].append(line)
    found = [["", "ratio", "L0", *(f"{site}: {rate:g}" for site, rate in columns)]]
    kinds = list(methods.BY_KIND)
    for ratio, kind in sorted(cells, key=lambda cell: (cell[0], kinds.index(cell[1]))):
        for l0 in rates.L0S:
            row = [rates.at(cells[ratio, kind][column], l0, digits=3) for column in columns]
            if any(row):
                found.append([label(kind), f"{ratio:g}", f"{l0:g}", *row])
    return found


def table_of_scores() -> Rows:
    """Ours of the section `quality`: FVU, loss recovered, dead features and seconds, the lowest FVU at 16 first."""
    rows = results.load()["quality"]["rows"]
    ours = [row for row in rows if (row["trainer"], row["variant"]) == (OURS, "plain")]
    unit = next(row["seconds"] for row in ours if row["kind"] == "topk")
    found = [["kind", "rate", *(f"L0 {l0:g}" for l0 in L0S), "loss recovered", "dead, 8, 16, 32", "seconds"]]
    for row in sorted(ours, key=lambda row: row["at"]["fvu 16"]["mean"]):
        fvu, *others = (
            [number(row["at"][f"{what} {l0:g}"], digits) for l0 in L0S]
            for what, digits in (("fvu", 4), ("loss_recovered", 2), ("dead", 0))
        )
        seconds = f"{row['seconds']:.1f} ({row['seconds'] / unit:.1f})"
        found.append([f"`{row['kind']}`", f"{row['rate']:g}", *fvu, *(", ".join(each) for each in others), seconds])
    return found


def table_at_wishes(kinds: Iterable[str]) -> Rows:
    """FVU at each wish, mean and standard deviation over seeds; dead of all; the least seconds, beside TopK's."""
    there = [line for line in lines.read(wished.FILE) if "failed" not in line and layer(line["site"]) == SHOWN]
    unit = min(line["seconds"] for line in there if line["kind"] == "topk")
    found = [["kind", *(f"L0 {wish:g}" for wish in wished.WISHES), "dead", "seconds"]]
    for kind in kinds:
        own = [line for line in there if line["kind"] == kind]
        fvu = [spread([line["fvu"] for line in own if line["wish"] == wish]) for wish in wished.WISHES]
        least, most = min(line["dead"] for line in own), max(line["dead"] for line in own)
        seconds = min(line["seconds"] for line in own)
        dead = f"{least} to {most}" if least < most else str(least)
        found.append([f"`{kind}`", *(number(each, 4) for each in fvu), dead, f"{seconds:.0f} ({seconds / unit:.1f})"])
    return found


TABLES: dict[str, dict[str, Callable[[], Rows]]] = {
    "docs/decisions.md": {"wishes": table_of_wishes, "rates": table_of_rates},
    "docs/architectures.md": {
        "scores": table_of_scores,
        "originals": lambda: table_at_wishes(ORIGINALS),
        "transcoders": lambda: table_at_wishes(PAIRS),
    },
}


def with_tables(text: str, tables: dict[str, Callable[[], Rows]]) -> str:
    """A page with its tables as they are now. Raises ValueError where it has no place for one."""
    for name, make in tables.items():
        begin, end = f"<!-- measured: {name} -->", "<!-- end -->"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"no place for the table {name}: {begin} and {end}")
        head, *rows = make()
        text = f"{before}{begin}\n{table(head, rows)}\n{end}{after}"
    return text


def main() -> None:
    """All pages."""
    for page, tables in TABLES.items():
        file = results.ROOT / page
        with whole_file(file) as temporary:
            Path(temporary).write_text(with_tables(file.read_text(encoding="utf-8"), tables), encoding="utf-8")


if __name__ == "__main__":
    main()

"""The last words of `make plot`: what was made, how to use it, and what to try next.

python -m sparse_coding.closing [site]
"""

import sys
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.io import tables

SITE = "layer2_residual"
L0 = 8.0
AROUND = 1.5  # as a factor: FVU falls as L0 grows, so a wide range would only choose the largest L0

Row = dict[str, Any]


def closing(site: str = SITE, results: Path = Path("results")) -> str:
    """What stands in `results` for `site`, as text for a terminal.

    Raises BadInput, naming the command that makes it, where the figure or the table is missing.
    """
    figure = results / "plots" / f"{site}.png"
    if not figure.exists():
        raise BadInput(figure, "no such file", f"the figure: make it with `snakemake --cores all {figure}`")
    table = results / "evaluation" / site / "table.parquet"
    rows = tables.read(table, tables.EVALUATION).to_pylist()
    plain = [row for row in rows if row["variant"] == "plain"]
    learned = [row for row in plain if row["ratio"] is not None]
    parts = [
        f"\nMade: {figure}",
        f"  It compares {len(learned)} dictionaries with {len(plain) - len(learned)} baselines at {site}.",
        f"  What it shows, in words: {figure.with_suffix('.txt')}",
        f"  Tables: {table}, {results / 'autointerp' / site / 'table.parquet'}",
    ]
    chosen = best(learned)
    if chosen is not None:
        parts += [_described(chosen), _how_to_load(chosen)]
    return "\n".join([*parts, _next_commands()])


def best(rows: list[Row]) -> Row | None:
    """The row of lowest FVU among those around L0 8; where there is none, the one nearest to it."""
    known = [row for row in rows if row["fvu"] is not None]
    if not known:
        return None
    near = [row for row in known if L0 / AROUND <= row["l0"] <= L0 * AROUND]
    return min(near, key=lambda row: row["fvu"]) if near else min(known, key=lambda row: abs(row["l0"] - L0))


def _described(row: Row) -> str:
    recovered = row["loss_recovered"]
    loss = "" if recovered is None else f", loss recovered {recovered:.0%}"
    return f"  Best around L0 {L0:g}: {row['name']} (L0 {row['l0']:.1f}, FVU {row['fvu']:.2f}{loss})"


def _how_to_load(row: Row) -> str:
    return f"""
Use it, in .venv/bin/python:
  from sparse_coding import load_dictionary
  dictionary = load_dictionary("{row["path"]}")"""


def _next_commands() -> str:
    return """
Try next (with .venv/bin before snakemake, or inside the environment):
  snakemake --cores all      all sites of params.yaml, and results/evaluation/summary.csv
  make preset NAME=tiny      a smaller grid, to try changes in about a minute
  edit grid.l1 in params.yaml, then make plot: what depends on it runs again
  make test                  the whole test suite"""


def main(arguments: list[str] | None = None) -> int:
    """Print it; 2, with one line on stderr, where nothing was made."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        print(closing(given[0] if given else SITE))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

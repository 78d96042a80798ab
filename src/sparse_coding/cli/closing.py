"""The last words of `make plot`: what was made, how to use it, and what to try next.

python -m sparse_coding.cli.closing [site]     the site of `make plot` where none is given
"""

import sys
from pathlib import Path

from sparse_coding import methods, variants
from sparse_coding.cli.highlights import Row, best, highlights
from sparse_coding.core.metrics import headline
from sparse_coding.ending_quietly import ending_quietly
from sparse_coding.errors import BadInput
from sparse_coding.io import judged, tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.settings import grid, next_steps, params_file
from sparse_coding.settings.params import Params


def closing(site: str | None = None, results: Path = Path("results")) -> str:
    """What stands in `results` for `site`, as text for a terminal; None: for that of `make plot`.

    Raises BadInput, naming the command that makes it, where the figure or the table is missing.
    """
    site = site or next_steps.first_site(params_file.load(next_steps.PARAMS))
    figure = results / "plots" / f"{site}.png"
    if not figure.exists() and not _is_imported(site):
        raise BadInput(figure, "no such file", f"the figure: make it with `snakemake --cores all {figure}`")
    table = results / "evaluation" / site / "table.parquet"
    rows = tables.read_also_older(table, EVALUATION, "snakemake evaluation").to_pylist()
    plain = [row for row in rows if row["variant"] == variants.PLAIN and row["tokens"] is None]
    trained = [row for row in plain if methods.is_trained(row["kind"])]
    learned = headline.whole(trained)
    params = params_file.load(next_steps.PARAMS)
    parts = [*_made(site, results), f"  {_counted(len(learned), len(trained), len(plain), site, params)}"]
    parts += highlights(learned, _scored(results / "autointerp" / site / "table.parquet"))
    if (chosen := best(learned)) is not None:
        parts.append(_how_to_load(chosen))
    return "\n".join([*parts, f"\n{next_steps.after_run(params)}"])


def _is_imported(site: str) -> bool:
    """Whether the site has tables only: no model, no text, so nothing to interpret and no figure."""
    return next_steps.PARAMS.exists() and site in params_file.load(next_steps.PARAMS).activations.imported


def _made(site: str, results: Path) -> list[str]:
    figure, table = results / "plots" / f"{site}.png", results / "evaluation" / site / "table.parquet"
    if _is_imported(site):
        return [f"\nMade: {table}"]
    return [
        f"\nMade: {figure}",
        f"  What it shows, in words: {figure.with_suffix('.txt')}",
        f"  Tables: {table}, {results / 'autointerp' / site / 'table.parquet'}",
    ]


def _counted(learned: int, trained: int, plain: int, site: str, params: Params) -> str:
    control = " beside them a control, trained on the model with random weights." if _has_control(site, params) else ""
    held = f" and {_of(trained - learned, 'control', 'controls')}" if trained > learned else ""
    compared = f"{_of(learned, 'dictionary', 'dictionaries')}{held}"
    compared += f" with {_of(plain - trained, 'baseline', 'baselines')}"
    return f"It compares {compared} at {site}{';' if control else '.'}{control}"


def _of(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"


def _has_control(site: str, params: Params) -> bool:
    return site in params.grid.sites and grid.control_site(params, site) is not None


def _scored(path: Path) -> set[str] | None:
    """The names of the dictionaries that have scores; None where there is no table of them."""
    if not path.exists():
        return None
    table = tables.read_also_older(path, judged.schema_of(path), "snakemake autointerp")
    return set(table.column("name").to_pylist())


def _how_to_load(row: Row) -> str:
    return f"""
Use it, in .venv/bin/python:
  from sparse_coding import load_dictionary
  dictionary = load_dictionary("{row["path"]}")"""


def main(arguments: list[str] | None = None) -> int:
    """Print it; 2, with one line on stderr, where nothing was made."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        print(closing(given[0] if given else None))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(ending_quietly(main))

"""Dictionaries for people: by path, or by what is wanted of them."""

import os
from pathlib import Path
from typing import Any

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, gains, tables

Row = dict[str, Any]


def load_dictionary(
    path: str | os.PathLike[str] | None = None,
    *,
    site: str | None = None,
    architecture: str | None = None,
    l0: float | None = None,
    ratio: float | None = None,
    gain_refit: bool = False,
    results: str | os.PathLike[str] = "results",
) -> Dictionary:
    """A dictionary with `encode`, `decode` and `atoms`, from its file or chosen from the evaluated ones.

    path: its file. Otherwise `site`, `architecture` (`tied`, `topk`, ..., or a baseline such as `pca`) and, where
    several fit, `l0`: the one whose L0 on held-out vectors is nearest is taken. `ratio` narrows the choice.
    gain_refit: with its codes multiplied by the gains that stage evaluation fitted against shrinkage.
    results: the results folder; paths in its tables begin beside it.

    Raises BadInput, saying what there is, where nothing was evaluated yet or nothing fits.
    """
    folder = Path(results)
    if path is not None:
        chosen = Path(path)
        if (site, architecture, l0, ratio) != (None, None, None, None):
            raise BadInput("load_dictionary", "a path and a choice", "a path, or site=, architecture=, l0= and ratio=")
        return _with_gain(chosen, _gain_of_path(chosen, folder)) if gain_refit else dictionaries.load(chosen)
    if site is None or architecture is None:
        raise BadInput("load_dictionary", f"site={site!r}, architecture={architecture!r}", "a path, or both of these")
    rows = _rows(folder, site)
    row = _nearest(_narrowed(rows, site, architecture, ratio), l0)
    chosen = folder.parent / row["path"]
    return _with_gain(chosen, _gain(folder, rows, row)) if gain_refit else dictionaries.load(chosen)


def _with_gain(path: Path, gain: Path) -> Dictionary:
    return dictionaries.load(path).with_gain(gains.load(gain, path))


def _sites(results: Path) -> list[str]:
    """The sites that were evaluated, by name."""
    found = sorted(table.parent.name for table in results.glob("evaluation/*/table.parquet"))
    if not found:
        raise BadInput(results / "evaluation", "nothing evaluated yet", "tables of stage evaluation: run `make plot`")
    return found


def _rows(results: Path, site: str) -> list[Row]:
    known = _sites(results)
    if site not in known:
        raise BadInput("load_dictionary: site", repr(site), f"one of {', '.join(known)}")
    return tables.read(results / "evaluation" / site / "table.parquet", tables.EVALUATION).to_pylist()


def _narrowed(rows: list[Row], site: str, architecture: str, ratio: float | None) -> list[Row]:
    plain = [row for row in rows if row["variant"] == "plain"]
    of_kind = [row for row in plain if row["kind"] == architecture]
    if not of_kind:
        kinds = dict.fromkeys(row["kind"] for row in plain)
        raise BadInput("load_dictionary: architecture", repr(architecture), f"one of {', '.join(kinds)} (at {site})")
    of_ratio = [row for row in of_kind if ratio is None or row["ratio"] == ratio]
    if not of_ratio:
        there = dict.fromkeys("none" if row["ratio"] is None else f"{row['ratio']:g}" for row in of_kind)
        raise BadInput("load_dictionary: ratio", f"{ratio:g}", f"one of {', '.join(there)} ({architecture} at {site})")
    return of_ratio


def _nearest(rows: list[Row], l0: float | None) -> Row:
    if l0 is None:
        if len(rows) > 1:
            there = ", ".join(f"{row['l0']:.1f}" for row in sorted(rows, key=lambda row: row["l0"]))
            raise BadInput("load_dictionary: l0", "none", f"a number: there are dictionaries of L0 {there}")
        return rows[0]
    return min(rows, key=lambda row: abs(row["l0"] - l0))


def _gain(results: Path, rows: list[Row], row: Row) -> Path:
    if not any(other["name"] == row["name"] and other["variant"] == "gain_refit" for other in rows):
        raise BadInput(
            "load_dictionary: gain_refit",
            f"none for {row['name']}",
            "a trained dictionary (tied, untied or topk), and evaluation.gain_refit_rows in params.yaml",
        )
    return results / "evaluation" / row["site"] / "gains" / f"{row['name']}.safetensors"


def _gain_of_path(path: Path, results: Path) -> Path:
    for site in _sites(results):
        rows = _rows(results, site)
        for row in rows:
            if (results.parent / row["path"]).resolve() == path.resolve():
                return _gain(results, rows, row)
    raise BadInput(f"load_dictionary: {path}", "a dictionary that was not evaluated", f"one evaluated in {results}")

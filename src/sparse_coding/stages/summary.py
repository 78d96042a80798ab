"""Stage evaluation, over all sites: every dictionary with its path, settings and metrics, for people and for DVC."""

from pathlib import Path
from typing import Any

from sparse_coding import variants
from sparse_coding.core.metrics.headline import of_each_kind, whole
from sparse_coding.io.tables import read, write_csv, write_json
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.settings.slices import SummarySlice

IN_METRICS = ("l0", "fvu", "dead", "ce", "kl", "loss_recovered")
IN_POINTS = ("site", "name", "kind", "ratio", "variant", "l0", "fvu", "loss_recovered")


def run(settings: SummarySlice, *, tables: list[Path], output: Path) -> None:
    """Gather the evaluation tables of all sites, in the order given.

    Writes `<output>/summary.csv`, all columns and `headline`, which is `yes` for the dictionary of each kind that is
    nearest to the usual L0 and not broken; points.csv, those of the curves without controls and snapshots: a line
    of their kind would run through them; metrics.json, those to compare runs by.
    """
    rows = [row for path in tables for row in read(path, EVALUATION).to_pylist()]
    points = sorted(
        whole(rows),
        key=lambda row: (row["site"], row["kind"], row["ratio"] or 0, row["variant"], row["l0"], row["name"]),
    )
    write_json(output / "metrics.json", _metrics(rows))
    write_csv(output / "points.csv", points, IN_POINTS)
    write_csv(output / "summary.csv", _with_headlines(rows), [*EVALUATION.names, "headline"])


def _with_headlines(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    plain = [row for row in rows if row["variant"] == variants.PLAIN]
    sites = dict.fromkeys(row["site"] for row in plain)
    chosen = [row for site in sites for row in of_each_kind([row for row in plain if row["site"] == site])]
    return [row | {"headline": "yes" if any(row is each for each in chosen) else None} for row in rows]


def _metrics(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """{site: {name: {variant: {metric: value}}}}; what is not defined is left out."""
    nested: dict[str, Any] = {}
    for row in rows:
        found = {metric: row[metric] for metric in IN_METRICS if row[metric] is not None}
        nested.setdefault(row["site"], {}).setdefault(row["name"], {})[row["variant"]] = found
    return nested

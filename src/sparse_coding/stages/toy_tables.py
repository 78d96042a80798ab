"""Stage toy, gathering: all dictionaries in one table, and the mean of each cell over seeds.

1. Read the row of each dictionary, and check that the dictionary beside it is the one that it tells of.
2. Compare it with that of the next larger size, of the same condition, seed and L1.
3. Write the rows; average them over seeds.
"""

import json
from pathlib import Path
from typing import Any

from torch import Tensor

from sparse_coding.core.metrics.over_seeds import over_seeds
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, tables
from sparse_coding.io.tables.toy import TOY
from sparse_coding.settings.slices.toy import ToyTablesSlice

OWN = ("condition", "name")
CELL = ("condition", "ratio", "l1")
PAIRED = ("condition", "l1", "seed")
METRICS = ("mmcs", "mmcs_larger", "dead", "dead_share", "fvu", "mse", "l0")


def run(settings: ToyTablesSlice, *, rows: list[Path], members: list[Path], output: Path) -> None:
    """Gather `rows` (JSON), each with its dictionary at the same place in `members`.

    Writes `<output>/table.parquet`, a row a dictionary in the order given, and cells.csv, a row a cell. Raises BadInput
    for a row without its columns, and for a dictionary that is not its row's.
    """
    found = [_row(path) for path in rows]
    atoms = [_atoms(path, row) for path, row in zip(members, found, strict=True)]
    for row, own in zip(found, atoms, strict=True):
        larger = {
            other["ratio"]: theirs
            for other, theirs in zip(found, atoms, strict=True)
            if all(other[name] == row[name] for name in PAIRED) and other["ratio"] > row["ratio"]
        }
        row["mmcs_larger"] = mmcs(own, larger[min(larger)]) if larger else None
    tables.write(output / "table.parquet", found, TOY)
    cells = _cells(found)
    tables.write_csv(output / "cells.csv", cells, list(cells[0]))


def _row(path: Path) -> dict[str, Any]:
    try:
        row = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInput(path, f"no row ({error})", "JSON that stage toy wrote") from None
    tables.check(str(path), row | {"mmcs_larger": None}, TOY)
    return row


def _atoms(path: Path, row: dict[str, Any]) -> Tensor:
    dictionary, settings = dictionaries.load_with_settings(path)
    found, wanted = ([each.get(name) for name in OWN] for each in (settings, row))
    if found != wanted:
        raise BadInput(path, " ".join(map(str, found)), " ".join(map(str, wanted)))
    return dictionary.atoms


def _cells(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, with their intervals, in the order of the rows."""
    grouped: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(tuple(row[name] for name in CELL), []).append(row)
    return [_cell(key, of_cell) for key, of_cell in grouped.items()]


def _cell(key: tuple, rows: list[dict[str, Any]]) -> dict[str, Any]:
    cell = dict(zip(CELL, key, strict=True)) | {"n_feat": rows[0]["n_feat"], "seeds": len(rows)}
    for metric in METRICS:
        values = [row[metric] for row in rows if row[metric] is not None]
        mean, low, high = over_seeds(values) if values else (None, None, None)
        cell |= {metric: mean, f"{metric}_low": low, f"{metric}_high": high}
    return cell

"""Tables keep their columns and types, and their bytes depend on the rows alone."""

import csv
import json
import math
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sparse_coding.errors import BadInput
from sparse_coding.io import tables
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.io.tables.frequency import FREQUENCY

ROW = {"site": "layer2_residual", "name": "pca", "feature": 3, "frequency": 0.25}


def score(**changes: object) -> dict:
    row = dict.fromkeys(AUTOINTERP.names)
    row |= {"site": "s", "name": "n", "kind": "tied", "condition": "plain", "scorer": "token-rules", "feature": 1}
    row |= {
        "explainer": "e",
        "judge": "j",
        "simulator": "rules",
        "source": "rules",
        "mode": "nonzero",
        "choice": "sample",
        "wanted": 2,
    }
    row |= {"status": "ok", "n_firing_fragments": 7, "top": 0.5}
    return row | changes


def test_rows_come_back_with_their_types(tmp_path: Path) -> None:
    rows = [score(), score(feature=2, l1=2e-3, ratio=4, explanation="fires on 'the'", random=-1 / 3, n_rules=2)]
    path = tmp_path / "table.parquet"
    tables.write(path, rows, AUTOINTERP)
    table = tables.read(path, AUTOINTERP)
    assert table.to_pylist() == rows
    assert table.schema == AUTOINTERP
    tables.write(path, [], AUTOINTERP)
    assert tables.read(path, AUTOINTERP).num_rows == 0


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        tables.write(tmp_path / name, [dict(reversed(ROW.items())) if name == "b" else ROW], FREQUENCY)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"extra": 1}, "extra"),
        ({"feature": 1.0}, "column feature"),
        ({"feature": True}, "column feature"),
        ({"frequency": math.nan}, "column frequency"),
        ({"frequency": math.inf}, "column frequency"),
        ({"frequency": "0.5"}, "column frequency"),
        ({"frequency": None}, "column frequency"),
        ({"site": 3}, "column site"),
    ],
)
def test_a_wrong_row_is_refused_and_what_was_there_stays(tmp_path: Path, changes: dict, named: str) -> None:
    path = tmp_path / "frequency.parquet"
    tables.write(path, [ROW], FREQUENCY)
    with pytest.raises(BadInput, match=f"frequency.parquet: row 1.*{named}"):
        tables.write(path, [ROW, ROW | changes], FREQUENCY)
    assert tables.read(path, FREQUENCY).to_pylist() == [ROW]
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="frequency"):
        tables.write(tmp_path / "t", [{name: ROW[name] for name in ("site", "name", "feature")}], FREQUENCY)


def test_foreign_damaged_and_missing_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    with pytest.raises(BadInput, match="no such file"):
        tables.read(path, FREQUENCY)
    tables.write(path, [ROW] * 100, FREQUENCY)
    with pytest.raises(BadInput, match="unknown columns"):
        tables.read(path, AUTOINTERP)
    table = pq.ParquetFile(path).read()
    pq.write_table(table.set_column(2, "feature", table["feature"].cast("int32")), tmp_path / "narrow.parquet")
    with pytest.raises(BadInput, match="types"):
        tables.read(tmp_path / "narrow.parquet", FREQUENCY)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadInput, match="damaged"):
        tables.read(path, FREQUENCY)


def test_a_folder_that_looks_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    path = tmp_path / "site=x" / "t.parquet"
    tables.write(path, [ROW], FREQUENCY)
    assert tables.read(path, FREQUENCY).to_pylist() == [ROW]


def test_csv_and_json(tmp_path: Path) -> None:
    rows = [{"name": "a,b", "fvu": 0.1 + 0.2, "k": None}, {"name": "c", "fvu": 1e-300, "k": 3}]
    tables.write_csv(tmp_path / "t.csv", rows, ("name", "fvu", "k"))
    with open(tmp_path / "t.csv", newline="", encoding="utf-8") as file:
        found = list(csv.DictReader(file))
    assert [float(row["fvu"]) for row in found] == [0.1 + 0.2, 1e-300]
    assert [(row["name"], row["k"]) for row in found] == [("a,b", ""), ("c", "3")]
    tables.write_json(tmp_path / "t.json", rows)
    assert json.loads((tmp_path / "t.json").read_text()) == rows
    with pytest.raises(ValueError, match="not JSON compliant"):
        tables.write_json(tmp_path / "t.json", {"x": math.nan})
    assert json.loads((tmp_path / "t.json").read_text()) == rows

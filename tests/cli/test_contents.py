"""What `sparse_coding inspect` says that a file holds."""

import json

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file

from sparse_coding.cli import commands, contents
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.workflow import asked
from tests.workspace import ROOT

NAME = "results/dictionaries/layer0_residual/topk_r3_k2_s0.safetensors"


def a_dictionary(signed: bool = False) -> Dictionary:
    rows = torch.nn.functional.normalize(torch.arange(1.0, 49.0).reshape(12, 4), dim=1)
    rows = torch.cat([rows, -rows]) if signed else rows
    return Dictionary(
        encoder=rows,
        bias=torch.zeros(len(rows)),
        decoder=rows,
        centre=torch.zeros(4),
        gain=torch.ones(len(rows)),
        activation="topk",
        k=2,
    )


def row(**values: object) -> dict[str, object]:
    empty = {"string": "x", "int64": 1, "double": 0.5}
    plain = {field.name: None if field.nullable else empty[str(field.type)] for field in EVALUATION}
    return plain | {"path": NAME, "kind": "tied", "variant": "plain"} | values


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dictionaries.save(tmp_path / NAME, a_dictionary(), {})
    return tmp_path


def said(path) -> str:
    return "\n".join(contents.of_file(path))


def test_a_log_says_its_lines_and_what_they_tell(folder):
    (folder / "a.log.jsonl").write_text('{"step": 0, "loss": 1.5}\n{"step": 5, "loss": 1.0}\n')
    assert said(folder / "a.log.jsonl") == "  holds     a log: 2 rows of 2 columns: step, loss"


@pytest.mark.parametrize(
    ("strength", "value", "words"),
    [("l1", 0.00128334, "L1 0.001283"), ("l0", 7.6283, "L0 in the penalty 7.628"), ("k", 8, "k 8")],
)
def test_a_dictionary_of_a_wished_l0_says_what_came_of_it(folder, strength, value, words):
    matched = {"strength": strength, "value": value, "l0": 8.0417, "rows": 4096}
    dictionaries.save(folder / NAME, a_dictionary(), {"l0_target": 8.0, "matched": matched})
    expected = f"            trained for an L0 of 8: {words}, L0 8.042 on 4,096 held-out vectors"
    assert said(folder / NAME).splitlines()[1] == expected


def test_a_dictionary_says_shape_and_what_was_measured_of_it(folder):
    assert said(folder / NAME) == "  holds     a dictionary: 12 features of 4 dimensions, topk, k 2"
    table = folder / "results/evaluation/layer0_residual/table.parquet"
    table.parent.mkdir(parents=True)
    measured = row(l0=2.0, fvu=0.1234, loss_recovered=0.98, dead=3, n_feat=12)
    tables.write(table, [row(path="results/other.safetensors", l0=9.0), measured], EVALUATION)
    assert "L0 2.0, FVU 0.123, loss recovered 0.98, 3 of 12 features dead (plain, results/eval" in said(folder / NAME)
    assert "L0 9.0" not in said(folder / NAME)
    newest = said(folder / NAME)
    older = tables.read(table, EVALUATION).drop_columns(["broken", "loss_kind", "final_fvu"])
    pq.write_table(older, table)  # of an older version
    assert said(folder / NAME) == newest


def test_a_snapshot_says_that_it_is_one(folder):
    dictionaries.save(folder / NAME, a_dictionary(), {"tokens": 5000, "seen": 1280, "steps_taken": 20})
    asked = "topk, k 2; a snapshot, asked for at 5,000 vectors"
    assert said(folder / NAME).endswith(f"{asked}, 1,280 seen; 20 steps taken")
    dictionaries.save(folder / NAME, a_dictionary(), {"tokens": 5000})  # of an older version
    assert said(folder / NAME).endswith(asked)


def test_directions_of_both_signs_are_stored_once_and_counted_twice(folder):
    dictionaries.save(folder / "signed.safetensors", a_dictionary(signed=True), {})
    assert "24 features of 4 dimensions" in said(folder / "signed.safetensors")


def test_tables_say_rows_and_columns(folder):
    tables.write(folder / "t.parquet", [row(), row()], EVALUATION)
    assert f"a table: 2 rows of {len(EVALUATION)} columns: site, name, kind, variant" in said(folder / "t.parquet")
    tables.write_csv(folder / "t.csv", [{"a": 1, "b": None}], ["a", "b"])
    assert said(folder / "t.csv") == "  holds     a table: 1 row of 2 columns: a, b"


def test_vectors_settings_and_other_tensors_are_told(folder):
    with h5py.File(folder / "x.h5", "w") as file:
        file["train/vectors"] = np.zeros((7, 3), np.float16)
        file["train/token"] = np.zeros(7)
    assert said(folder / "x.h5") == "  holds     train/vectors [7, 3], float16"
    save_file({"gain": np.ones(5, np.float32)}, folder / "gain.safetensors")
    assert said(folder / "gain.safetensors") == "  holds     gain [5]"
    (folder / "m.json").write_text(json.dumps({"a": 1, "b": 2}))
    assert said(folder / "m.json") == "  holds     2 entries: a, b"
    (folder / "note.txt").write_text("text")
    assert said(folder / "note.txt") == said(folder / "gone.csv") == ""


@pytest.mark.parametrize("name", ["x.h5", "x.parquet", "x.safetensors", "x.json", "x.csv"])
def test_a_damaged_file_holds_nothing_that_can_be_read(folder, name):
    (folder / name).write_bytes(b"\xff\xfe no such format")
    assert said(folder / name).startswith("  holds     nothing that can be read (")


def test_a_file_that_is_not_there_is_said_to_be_so(tmp_path):
    artifacts = {"results/plots/x.png": {"files": ["results/plots/x.png", "results/plots/x.txt"]}}
    for file, message in (
        (
            "results/plots/x.png",
            r"found no such file; wanted it to be made, or pulled: `snakemake --cores all results/pl",
        ),
        ("results/plots/y.png", r"y\.png: found no such file; wanted results/plots/x\.png \(the nearest\)"),
        ("q", r"q: found no such file; wanted a file below results that a step wrote"),
    ):
        with pytest.raises(BadInput, match=message):
            asked.check_file(tmp_path, file, artifacts)
    (tmp_path / "results/plots").mkdir(parents=True)
    with pytest.raises(BadInput, match="found a folder; wanted a file that a step wrote"):
        asked.check_file(tmp_path, "results/plots", artifacts)
    (tmp_path / "results/plots/x.png").touch()
    asked.check_file(tmp_path, "./results/plots/x.png", artifacts)
    asked.check_file(tmp_path, "results/plots/x.png.stamp", artifacts)


def test_the_command_says_it_first(monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(
        BadInput, match=r"layer2_residul\.png: found no such file; wanted results/plots/layer2_residual\.p"
    ):
        commands.inspect("results/plots/layer2_residul.png")

import re
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from sparse_coding.cli.closing import closing
from sparse_coding.cli.highlights import best, highlights
from sparse_coding.errors import BadInput
from sparse_coding.io import tables
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.io.tables.evaluation import EVALUATION


def row(name: str, l0: float, fvu: float | None, **others: object) -> dict[str, object]:
    empty: dict[str, object] = {
        field.name: None if field.nullable else {"string": "x", "int64": 1, "double": 1.0}[str(field.type)]
        for field in EVALUATION
    }
    about = {"name": name, "site": "layer2_residual", "kind": "tied", "variant": "plain", "ratio": 2.0, "dead": 0}
    return (
        empty
        | about
        | {"path": f"results/dictionaries/layer2_residual/{name}.safetensors"}
        | {"l0": l0, "fvu": fvu}
        | others
    )


ROWS = [
    row("sparse", 2.0, 0.9, loss_recovered=0.1),
    row("worse", 8.0, 0.5, loss_recovered=0.6),
    row("better", 9.0, 0.4, loss_recovered=0.734),
    row("better", 9.0, 0.1, loss_recovered=0.99, variant="gain_refit"),
    row("dense", 40.0, 0.05, loss_recovered=0.98),
    row("pca", 8.0, 0.01, loss_recovered=0.99, kind="pca", ratio=None),
]


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    (folder / "plots").mkdir(parents=True)
    (folder / "evaluation/layer2_residual").mkdir(parents=True)
    (folder / "plots/layer2_residual.png").touch()
    tables.write(folder / "evaluation/layer2_residual/table.parquet", ROWS, EVALUATION)
    return folder


def test_what_was_made(results):
    text = closing(results=results)
    assert str(results / "plots/layer2_residual.png") in text
    counted = "4 dictionaries with 1 baseline at layer2_residual; beside them a control"
    assert counted in text
    assert "Of each kind the nearest to L0 8 to 16:\n    worse (L0 8, FVU 0.50, loss recovered 60%)\n" in text
    assert 'load_dictionary("results/dictionaries/layer2_residual/worse.safetensors")' in text
    assert "Broken" not in text
    assert all(
        command in text for command in ("snakemake --cores all", "make preset NAME=tiny", "grid.l1", "make test")
    )


def test_the_site_is_that_of_params(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    off = "autointerp: {random_weights: null}\n"
    (tmp_path / "params.yaml").write_text(f"grid: {{sites: [layer2_residual], l1: [0.1]}}\n{off}")
    assert "4 dictionaries with 1 baseline at layer2_residual.\n" in closing()
    (tmp_path / "params.yaml").write_text("grid: {sites: [layer3_mlp]}\n")
    with pytest.raises(BadInput, match=r"results/plots/layer3_mlp\.png: found no such file"):
        closing()


def test_an_imported_site_has_a_table_and_no_figure(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (results / "evaluation/layer2_residual").rename(results / "evaluation/mine")
    (tmp_path / "params.yaml").write_text("grid: {sites: [mine]}\nactivations: {imported: {mine: vectors}}\n")
    text = closing()
    assert text.startswith(
        "\nMade: results/evaluation/mine/table.parquet\n  It compares 4 dictionaries with 1 baseline"
    )
    assert ".png" not in text


def test_without_a_language_model_no_loss_is_told(results):
    tables.write(results / "evaluation/layer2_residual/table.parquet", [row("only", 100.0, 0.4)], EVALUATION)
    text = closing(results=results)
    assert "only (L0 100, FVU 0.40)" in text


def test_the_best_is_the_nearest_to_the_usual_l0():
    assert best([]) is None
    assert best([row("undefined", 8.0, None)]) is None
    for rows, wanted in (
        ([row("a", 1.0, 0.9), row("b", 40.0, 0.1)], "b"),
        ([row("sparse", 9.0, 0.5), row("more", 12.0, 0.3), row("topk", 8.0, 0.4, kind="topk", k=8)], "topk"),
        ([row("r2", 9.0, 0.5), row("r4", 12.0, 0.3, ratio=4.0)], "r4"),
    ):
        chosen = best(rows)
        assert chosen is not None
        assert chosen["name"] == wanted


def test_what_is_broken_or_not_scored_is_said(results):
    """An L1 dictionary of L0 1.2 that is mostly dead was put forward beside TopK of L0 8."""
    rows = [
        row("dead", 1.2, 0.95, l1=0.01, dead=514, n_feat=768, broken="514 of 768 features dead"),
        row("near", 10.0, 0.4, l1=0.003, n_feat=768),
        row("topk", 8.0, 0.3, kind="topk", k=8),
    ]
    tables.write(results / "evaluation/layer2_residual/table.parquet", rows, EVALUATION)
    blank = {field.name: None if field.nullable else 1 for field in AUTOINTERP}
    text = {field.name: "x" for field in AUTOINTERP if not field.nullable and str(field.type) == "string"}
    scored = [blank | text | {"name": name, "kind": "tied", "source": "rules"} for name in ("dead", "topk")]
    tables.write(results / "autointerp/layer2_residual/table.parquet", scored, AUTOINTERP)
    said = closing(results=results)
    for line in (
        "    near (L0 10, FVU 0.40)",
        "    topk (L0 8, FVU 0.30)",
        "  Broken (FVU above 1, L0 below 1 or more than half of the features dead): dead (514 of 768 features dead)",
        "  No scored tied dictionary has an L0 of 4 to 32 (nearest: dead, L0 1.2).",
        "  To score one: `autointerp.members: {l1: 0.003, k: 8}` in params.yaml.",
    ):
        assert f"\n{line}\n" in said
    assert 'load_dictionary("results/dictionaries/layer2_residual/topk.safetensors")' in said
    assert "\n    of tied" not in said


def test_what_is_mostly_alive_is_put_forward_with_its_dead():
    assert highlights([row("some", 9.0, 0.4, dead=300, n_feat=768)], None)[1:] == [
        "    some (L0 9, FVU 0.40, 300 of 768 features dead)"
    ]


def test_what_is_broken_is_not_to_be_used(results):
    """The heading stood over an L0 of 0.000659, and the command loaded what was said to be broken."""
    path = results / "evaluation/layer2_residual/table.parquet"
    tied = [row(f"tied_{n}", 6.59e-4, 1.0, broken="L0 0.00066") for n in range(2)]
    topk = row("topk", 8.0, 2.1, kind="topk", k=8, broken="FVU 2.1")
    tables.write(path, [*tied, topk], EVALUATION)
    said = closing(results=results)
    assert (
        "  Of each kind the nearest to L0 8 to 16:\n    of tied none: all 2 are broken\n"
        "    of topk none: the only one is broken\n  Broken (" in said
    )
    assert "load_dictionary" not in said
    sound = row("sound", 60.0, 0.3, kind="topk", k=64)
    tables.write(path, [*tied, topk, sound], EVALUATION)
    said = closing(results=results)
    assert "L0 8 to 16:\n    sound (L0 60, FVU 0.30)\n    of tied none: all 2 are broken\n" in said
    assert 'load_dictionary("results/dictionaries/layer2_residual/sound.safetensors")' in said


def test_one_is_counted_as_one(results):
    path = results / "evaluation/layer2_residual/table.parquet"
    tables.write(path, [ROWS[0], ROWS[-1], ROWS[-1] | {"name": "ica", "kind": "ica"}], EVALUATION)
    assert "It compares 1 dictionary with 2 baselines at" in closing(results=results)


def test_an_encoder_without_a_head_is_told_by_its_final_states():
    (_, line) = highlights([row("only", 9.0, 0.4, final_fvu=0.2)], None)
    assert line == "    only (L0 9, FVU 0.40, FVU of the final hidden states 0.20)"


def test_a_table_of_an_older_version_serves(results):
    path = results / "evaluation/layer2_residual/table.parquet"
    whole = closing(results=results)
    older = [name for name in EVALUATION.names if name.startswith(("broken", "loss_kind", "final_"))]
    pq.write_table(tables.read(path, EVALUATION).drop_columns(older), path)
    assert closing(results=results) == whole
    with pytest.raises(BadInput, match="no columns"):  # steps of the workflow are strict
        tables.read(path, EVALUATION)


def test_nothing_made(tmp_path):
    with pytest.raises(BadInput, match=r"plots/layer4_residual.png: found no such file.*snakemake --cores all"):
        closing("layer4_residual", tmp_path)
    command = [sys.executable, "-m", "sparse_coding.cli.closing", "layer2_residual"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: results/plots/layer2_residual.png: found no such file; wanted .*\n", done.stderr)
    assert done.stdout == ""

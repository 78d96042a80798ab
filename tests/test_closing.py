import re
import subprocess
import sys

import pytest

from sparse_coding.closing import best, closing
from sparse_coding.errors import BadInput
from sparse_coding.io import tables


def row(name: str, l0: float, fvu: float | None, **others: object) -> dict[str, object]:
    empty: dict[str, object] = {
        field.name: None if field.nullable else {"string": "x", "int64": 1, "double": 1.0}[str(field.type)]
        for field in tables.EVALUATION
    }
    about = {"name": name, "site": "layer2_residual", "kind": "tied", "variant": "plain", "ratio": 2.0}
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
    tables.write(folder / "evaluation/layer2_residual/table.parquet", ROWS, tables.EVALUATION)
    return folder


def test_what_was_made(results):
    text = closing(results=results)
    assert str(results / "plots/layer2_residual.png") in text
    counted = "4 dictionaries with 1 baselines at layer2_residual; beside them a control"
    assert counted in text
    assert "better (L0 9.0, FVU 0.40, loss recovered 73%)" in text
    assert 'load_dictionary("results/dictionaries/layer2_residual/better.safetensors")' in text
    assert all(
        command in text for command in ("snakemake --cores all", "make preset NAME=tiny", "grid.l1", "make test")
    )


def test_the_site_is_that_of_params(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    off = "autointerp: {random_weights: null}\n"
    (tmp_path / "params.yaml").write_text(f"grid: {{sites: [layer2_residual], l1: [0.1]}}\n{off}")
    assert "4 dictionaries with 1 baselines at layer2_residual.\n" in closing()
    (tmp_path / "params.yaml").write_text("grid: {sites: [layer3_mlp]}\n")
    with pytest.raises(BadInput, match=r"results/plots/layer3_mlp\.png: found no such file"):
        closing()


def test_an_imported_site_has_a_table_and_no_figure(results, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (results / "evaluation/layer2_residual").rename(results / "evaluation/mine")
    (tmp_path / "params.yaml").write_text("grid: {sites: [mine]}\nactivations: {imported: {mine: vectors}}\n")
    text = closing()
    assert text.startswith(
        "\nMade: results/evaluation/mine/table.parquet\n  It compares 4 dictionaries with 1 baselines"
    )
    assert ".png" not in text


def test_without_a_language_model_no_loss_is_told(results):
    tables.write(results / "evaluation/layer2_residual/table.parquet", [row("only", 100.0, 0.4)], tables.EVALUATION)
    text = closing(results=results)
    assert "only (L0 100.0, FVU 0.40)" in text


def test_the_best_is_searched_around_l0_8():
    assert best([]) is None
    assert best([row("undefined", 8.0, None)]) is None
    chosen = best([row("a", 1.0, 0.9), row("b", 40.0, 0.1)])
    assert chosen is not None
    assert chosen["name"] == "a"


def test_nothing_made(tmp_path):
    with pytest.raises(BadInput, match=r"plots/layer4_residual.png: found no such file.*snakemake --cores all"):
        closing("layer4_residual", tmp_path)
    command = [sys.executable, "-m", "sparse_coding.closing", "layer2_residual"]
    done = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 2
    assert re.fullmatch(r"error: results/plots/layer2_residual.png: found no such file; wanted .*\n", done.stderr)
    assert done.stdout == ""

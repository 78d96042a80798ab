"""What `make plot` makes, and what is named as next, follow params.yaml."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from sparse_coding.settings import next_steps, params_file
from sparse_coding.settings.params import Params
from tests.workspace import ROOT

OWN = {"grid": {"sites": ["mine"]}, "activations": {"imported": {"mine": "vectors"}}}


def preset(name: str) -> Params:
    return params_file.load(ROOT / "presets" / f"{name}.yaml")


@pytest.mark.parametrize(
    ("sections", "target"),
    [
        ({}, "results/plots/layer2_residual.png"),
        ({"grid": {"sites": ["layer3_mlp", "layer2_residual"]}}, "results/plots/layer3_mlp.png"),
        (OWN, "results/evaluation/summary.csv"),
        ({**OWN, "grid": {"sites": ["mine", "layer1_residual"]}}, "results/plots/layer1_residual.png"),
    ],
)
def test_the_target_is_the_figure_of_the_first_site_that_has_one(sections, target, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(sections or {"grid": {}}))
    assert next_steps.main() == 0
    assert capsys.readouterr().out == f"{target}\n"


def test_params_that_cannot_be_used_stop_make_before_snakemake(tmp_path):
    (tmp_path / "params.yaml").write_text("grid: {l1: [-1]}\n")
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "Makefile").symlink_to(ROOT / "Makefile")
    for name in ("requirements.txt", "pyproject.toml"):
        (tmp_path / name).write_text("")
    recipe = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "plot"], cwd=tmp_path, capture_output=True, text=True
    )
    first, closing = recipe.stdout.strip().splitlines()
    assert closing == ".venv/bin/python -m sparse_coding.cli.closing"
    done = subprocess.run(["bash", "-c", first], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: params.yaml: grid.l1.0: found -1; wanted ")
    assert done.stderr.count("\n") == 1


def commands(said: str) -> list[str]:
    return [line.strip().partition("    ")[0].rstrip() for line in said.splitlines()[1:]]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("architectures", [".venv/bin/snakemake --cores all results/plots/layer2_residual.png"]),
        ("tiny", [".venv/bin/snakemake --cores all results/plots/layer2_residual.png"]),
        ("supertiny", [".venv/bin/snakemake --cores all results/plots/layer2_residual.png"]),
        ("toy", [".venv/bin/snakemake --cores all results/plots/toy.png"]),
        (
            "paper",
            [".venv/bin/sparse_coding lock", ".venv/bin/sparse_coding forecast",
             ".venv/bin/snakemake --cores all results/plots/layer0_residual.png"],
        ),
    ],
)  # fmt: skip
def test_each_preset_names_what_it_is_for_in_the_order_in_which_it_can_be_run(name, wanted, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert commands(next_steps.after_preset(preset(name))) == wanted


def test_what_is_locked_is_not_locked_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lock = {"models": {"EleutherAI/pythia-70m-deduped@main": "a" * 40},
            "datasets": {"monology/pile-uncopyrighted@main": "b" * 40}}  # fmt: skip
    Path("hub.lock.json").write_text(json.dumps(lock))
    assert commands(next_steps.after_preset(preset("paper")))[0].startswith(".venv/bin/snakemake")


def test_every_preset_is_tried_here():
    assert {file.stem for file in (ROOT / "presets").glob("*.yaml")} == {
        "architectures", "tiny", "supertiny", "toy", "paper"
    }  # fmt: skip


def test_after_a_run_what_is_there_already_is_not_proposed(monkeypatch):
    monkeypatch.chdir(ROOT)
    said = next_steps.after_run(params_file.load(ROOT / "params.yaml"))
    assert "all 2 sites of params.yaml" in said
    assert "make preset NAME=tiny" in said
    assert "toy.png" not in said
    said = next_steps.after_run(preset("tiny"))
    assert "preset NAME" not in said
    assert "sites of params.yaml" not in said
    assert "grid.l1" in said
    assert "toy.png" in next_steps.after_run(preset("toy"))
    only_topk = Params.model_validate({"grid": {"architectures": ["topk"]}})
    assert "edit grid.k in params.yaml" in next_steps.after_run(only_topk)
    both = Params.model_validate({"grid": {"architectures": ["topk", "tied"]}})
    assert "edit grid.l1 in params.yaml" in next_steps.after_run(both)

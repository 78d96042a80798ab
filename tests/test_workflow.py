"""The whole line, small: a tiny model and a folder of texts become every artifact that the workflow promises."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from sparse_coding import grid, leaves, params
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.load import load_dictionary
from tests.tiny_model import make_tiny_model
from tests.workspace import ROOT, make_workspace, snakemake, write_params

SITE, CONTROL = "layer1_residual", "random_layer1_residual"
TINY: dict[str, Any] = {
    "grid": {
        "sites": [SITE],
        "architectures": ["tied", "topk"],
        "ratios": [1, 2],
        "l1": [0.001, 0.002, 0.004],
        "k": [2, 8],
        "only": [{"architectures": ["tied"], "ratios": [2]}, {"architectures": ["topk"], "ratios": [1]}],
    },
    "model": {"name": "models/tiny"},
    "dataset": {
        "corpus": "texts",
        "held_out_share": 0.2,
        "context": 32,
        "train_tokens": 6000,
        "held_out_tokens": 1500,
        "fragments": 150,
        "fragment_tokens": 16,
    },
    "dictionaries": {"steps": 60, "batch": 256, "log_steps": 10},
    "baselines": {"topk": [2, 8], "ica_rows": 2000, "nmf_rows": 500, "nmf_iterations": 20},
    "evaluation": {"splice_blocks": 8, "gain_refit_rows": 2000},
    "autointerp": {
        "members": {"l1": 0.002, "k": 8},
        "features": 6,
        "bootstrap": 100,
        "random_weights": {"architecture": "tied", "ratio": 2, "l1": 0.002, "seed": 1},
    },
    "plots": {"dpi": 60},
}
MEMBERS = ["tied_r2_l1-0.001_s0", "tied_r2_l1-0.002_s0", "tied_r2_l1-0.004_s0", "topk_r1_k2_s0", "topk_r1_k8_s0"]


def write_texts(folder: Path, n: int = 60, words: int = 150) -> None:
    """Texts of made-up words, some of them much more frequent than others."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    vocabulary = ["".join(random.choice(list("abdeiklmnoprstu"), 5)) for _ in range(80)]
    for index in range(n):
        chosen = random.zipf(1.4, words) % len(vocabulary)
        (folder / f"{index:02d}.txt").write_text(" ".join(vocabulary[word] for word in chosen))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace in which the whole workflow has run."""
    folder = make_workspace(tmp_path_factory.mktemp("line") / "project", TINY)
    make_tiny_model(folder / "models" / "tiny", layers=2)
    write_texts(folder / "texts")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def baselines_of(folder: Path) -> list[str]:
    return grid.baseline_names(params.load(folder / "params.yaml").baselines)


def test_the_figure_is_a_picture_with_its_caption(made):
    picture = matplotlib.image.imread(made / f"results/plots/{SITE}.png")
    assert picture.shape[1] == pytest.approx(60 * 12, abs=2)  # plots.dpi times plots.width
    assert picture.std() > 0.05
    caption = (made / f"results/plots/{SITE}.txt").read_text()
    assert "token-rules" in caption


def test_every_artifact_that_the_grid_asks_for_is_there_and_no_other(made):
    results = made / "results"
    members = [f"{SITE}/{name}" for name in MEMBERS] + [f"{CONTROL}/tied_r2_l1-0.002_s1"]
    wanted = {f"{name}{suffix}" for name in members for suffix in (".safetensors", ".log.jsonl")}
    dictionaries = results / "dictionaries"
    assert {str(file.relative_to(dictionaries)) for file in dictionaries.rglob("*") if file.is_file()} == wanted
    assert {file.stem for file in (results / f"baselines/{SITE}").iterdir()} == set(baselines_of(made))
    assert {file.stem for file in (results / "activations").iterdir()} == {SITE, CONTROL}
    assert {file.stem for file in (results / f"evaluation/{SITE}/rows").iterdir()} == {*MEMBERS, *baselines_of(made)}
    assert {file.stem for file in (results / f"evaluation/{SITE}/gains").iterdir()} == set(MEMBERS)
    assert not list(results.rglob("*.part"))


def test_tokens_and_vectors_are_as_many_as_asked(made):
    tokens = token_files.load(made / "results/dataset/tokens.h5")
    asked = TINY["dataset"]
    for blocks, wanted in ((tokens.train, asked["train_tokens"]), (tokens.held_out, asked["held_out_tokens"])):
        n_text = int(tokens.is_text(blocks.tokens).sum())
        assert wanted <= n_text < wanted + asked["context"]
    for site in (SITE, CONTROL):
        with open_activations(made / f"results/activations/{site}.h5") as file:
            assert file.split("train").n_rows == tokens.is_text(tokens.train.tokens).sum()
            assert file.split("held_out").n_rows == tokens.is_text(tokens.held_out.tokens).sum()
            assert file.split("fragments").n_rows == asked["fragments"] * asked["fragment_tokens"]


def test_the_summary_has_every_dictionary_with_path_settings_and_metrics(made):
    with open(made / "results/evaluation/summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    plain = {row["name"]: row for row in rows if row["variant"] == "plain"}
    assert list(plain) == [*MEMBERS, *baselines_of(made)]
    assert [row["name"] for row in rows if row["variant"] == "gain_refit"] == MEMBERS
    assert len(rows) == len(plain) + len(MEMBERS)
    for row in rows:
        assert (made / row["path"]).is_file()
        assert row["site"] == SITE
        for metric in ("l0", "fvu", "mse", "cosine", "dead", "ce", "kl", "perplexity", "n_vectors", "n_tokens"):
            assert np.isfinite(float(row[metric])), (row["name"], metric)
    assert (plain[MEMBERS[1]]["l1"], plain[MEMBERS[1]]["ratio"], plain[MEMBERS[1]]["seed"]) == ("0.002", "2.0", "0")
    assert (plain[MEMBERS[4]]["k"], plain[MEMBERS[4]]["l1"]) == ("8", "")
    assert float(plain[MEMBERS[0]]["l0"]) > float(plain[MEMBERS[2]]["l0"])  # a larger L1, fewer codes
    assert float(plain["random"]["fvu"]) > float(plain["pca_top8"]["fvu"]) or float(plain["pca"]["fvu"]) < 1e-6


def test_tables_have_the_rows_that_params_ask_for(made):
    evaluation = made / f"results/evaluation/{SITE}"
    assert pq.read_table(evaluation / "table.parquet").num_rows == 2 * len(MEMBERS) + len(baselines_of(made))
    frequency = pq.ParquetFile(evaluation / "frequency.parquet").read().to_pandas()
    n_feat = {row["name"]: row["n_feat"] for row in read(evaluation / "table.parquet")}
    assert frequency.groupby("name").size().to_dict() == n_feat
    assert set(json.loads((evaluation / "metrics.json").read_text())) == set(n_feat)
    scored = read(made / f"results/autointerp/{SITE}/table.parquet", tables.AUTOINTERP)
    subjects = ["tied_r2_l1-0.002_s0", "topk_r1_k8_s0", "pca", "ica", "nmf", "neuron_basis", "random"]
    plain = [row["name"] for row in scored if row["condition"] == "plain"]
    assert plain == [name for name in subjects for _ in range(TINY["autointerp"]["features"])]
    assert {row["name"] for row in scored if row["condition"] == "shuffled_null"} == {"tied_r2_l1-0.002_s0"}
    assert {row["scorer"] for row in scored} == {"token-rules"}
    control = read(made / f"results/autointerp/{CONTROL}/table.parquet", tables.AUTOINTERP)
    assert [row["name"] for row in control] == ["tied_r2_l1-0.002_s1"] * TINY["autointerp"]["features"]


def read(path: Path, schema=tables.EVALUATION) -> list[dict]:
    return tables.read(path, schema).to_pylist()


def test_two_lines_load_a_dictionary(made, monkeypatch):
    monkeypatch.chdir(made)
    by_path = load_dictionary(f"results/dictionaries/{SITE}/topk_r1_k8_s0.safetensors")
    chosen = load_dictionary(site=SITE, architecture="topk", l0=7)
    with open_activations(made / f"results/activations/{SITE}.h5") as file:
        x = file.split("held_out").read(0, 100)
    codes = chosen.encode(x)
    assert (codes == by_path.encode(x)).all()
    assert (codes > 0).sum(1).max() <= 8
    assert chosen.decode(codes).shape == x.shape
    assert chosen.atoms.shape == (32, 32)
    (row,) = [row for row in read(made / f"results/evaluation/{SITE}/table.parquet") if row["name"] == "pca_top2"]
    assert load_dictionary(site=SITE, architecture="pca", l0=row["l0"]).n_feat == 64


def planned_jobs(folder: Path) -> dict[str, str]:
    """How often each rule would run, from the table of a dry run."""
    planned = snakemake(folder, "-n")
    assert planned.returncode == 0, planned.stdout
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", planned.stdout, re.MULTILINE))
    assert jobs, planned.stdout
    return jobs


def test_a_second_run_finds_nothing_to_do(made):
    again = snakemake(made, "-n")
    assert again.returncode == 0, again.stdout
    assert "Nothing to be done" in again.stdout


@pytest.mark.parametrize(("l1", "cores"), [([0.002], 1), ([0.004, 0.002], 2)])
def test_a_member_is_the_same_bytes_in_other_company_and_on_other_cores(made, tmp_path, l1, cores):
    member = f"results/dictionaries/{SITE}/tied_r2_l1-0.002_s0.safetensors"
    other = tmp_path / "project"
    shutil.copytree(made, other, symlinks=True)
    for file in (other / "results/dictionaries" / SITE).iterdir():
        file.unlink()
    write_params(other, TINY | {"grid": TINY["grid"] | {"l1": l1}})
    inputs = [other / "results/dataset/tokens.h5", other / f"results/activations/{SITE}.h5"]
    written = [file.stat().st_mtime_ns for file in inputs]
    done = snakemake(other, member, cores=cores)
    assert done.returncode == 0, done.stdout
    assert [file.stat().st_mtime_ns for file in inputs] == written
    names = {file.name for file in (other / "results/dictionaries" / SITE).glob("*.safetensors")}
    assert names == {f"tied_r2_l1-{value:g}_s0.safetensors" for value in l1}
    assert sha256(other / member) == sha256(made / member)


AFTER_DICTIONARIES = {f"evaluation_{SITE}", f"autointerp_{SITE}", f"plots_{SITE}", "summary"}
GROWTH: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "an L1": ("grid", {"l1": [0.001, 0.002, 0.004, 0.008]}, {f"dictionaries_{SITE}_tied_r2", *AFTER_DICTIONARIES}),
    "a ratio": (
        "grid",
        {"ratios": [1, 2, 4], "only": [*TINY["grid"]["only"], {"ratios": [4]}]},
        {f"dictionaries_{SITE}_tied_r4", f"dictionaries_{SITE}_topk_r4", *AFTER_DICTIONARIES},
    ),
    "a top-k baseline": ("baselines", {"topk": [2, 4, 8]}, {f"baselines_{SITE}", *AFTER_DICTIONARIES}),
    "scored members": (
        "autointerp",
        {"members": "all"},
        {f"autointerp_{SITE}", f"autointerp_{CONTROL}", f"plots_{SITE}"},
    ),
}


@pytest.mark.parametrize("what", GROWTH)
def test_what_is_new_in_params_is_made_and_nothing_else(made, what):
    section, change, jobs = GROWTH[what]
    write_params(made, TINY | {section: TINY[section] | change})
    try:
        planned = planned_jobs(made)
    finally:
        write_params(made, TINY)
    assert planned.keys() == {*jobs, "all", "total"}


def test_settings_from_the_command_line_are_refused(made, tmp_path):
    (tmp_path / "config.yaml").write_text("steps: 5\n")
    for option in (("--config", "steps=5"), ("--configfile", str(tmp_path / "config.yaml"))):
        done = snakemake(made, "-n", *option)
        assert done.returncode != 0
        assert "--config and --configfile are refused" in done.stdout
        assert "make preset NAME=tiny" in done.stdout
        assert "Traceback" not in done.stdout


def test_snakemake_runs_without_an_activated_environment(made):
    binary = Path(sys.executable).with_name("snakemake")
    environment = {"PATH": "/usr/bin:/bin", "HOME": os.environ.get("HOME", "/")}
    command = [str(binary), "--cores", "1", "-n", "-p", "--forceall", f"results/plots/{SITE}.png"]
    done = subprocess.run(command, cwd=made, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    steps = re.findall(r"(\S+) -m sparse_coding (\w+) ", done.stdout + done.stderr)
    assert {stage for _, stage in steps} >= {"dataset", "activations", "evaluation", "plots"}
    assert {Path(python).parent for python, _ in steps} == {binary.parent}


# What is shipped: params.yaml and the presets.

SHIPPED = [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))]


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.name)
def test_shipped_params_plan_every_job(file, tmp_path):
    settings = params.load(file)
    assert yaml.safe_load(file.read_text()).keys() <= params.Params.model_fields.keys()
    folder = make_workspace(tmp_path / "project", file.read_text())
    stand_in = folder / settings.model.name
    stand_in.mkdir(parents=True)
    for name in leaves.MODEL_FILES:
        (stand_in / name).write_text('{"num_hidden_layers": 6, "hidden_size": 128}')
    jobs = planned_jobs(folder)
    sites = settings.grid.sites
    with_controls = [*sites, *(f"random_{site}" for site in sites)]
    cells = [f"{site}_{cell.name}" for site in with_controls for cell in grid.cells(settings, site)]
    wanted = {"all", "total", "summary", "dataset", "activations", "activations_random"}
    wanted |= {f"{stage}_{site}" for stage in ("baselines", "evaluation", "plots") for site in sites}
    wanted |= {f"autointerp_{site}" for site in with_controls} | {f"dictionaries_{cell}" for cell in cells}
    assert jobs.keys() == wanted
    assert {count for job, count in jobs.items() if job != "total"} == {"1"}

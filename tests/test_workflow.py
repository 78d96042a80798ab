"""The whole line, small: a tiny model and a folder of texts become every artifact that the workflow promises."""

import csv
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pyarrow.parquet as pq
import pytest

from sparse_coding.errors import BadInput
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.load import load_dictionary
from sparse_coding.settings import grid, params_file, slices
from sparse_coding.stages import dictionaries
from sparse_coding.workflow import stamps
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.store import Store
from tests.tiny_model import make_tiny_model
from tests.workflow.project import Project, Started
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
    return grid.baseline_names(params_file.load(folder / "params.yaml").baselines, SITE)


def test_the_figure_is_a_picture_with_its_caption(made):
    picture = matplotlib.image.imread(made / f"results/plots/{SITE}.png")
    assert picture.shape[1] == pytest.approx(60 * 12, abs=2)  # plots.dpi times plots.width
    assert picture.std() > 0.05
    caption = (made / f"results/plots/{SITE}.txt").read_text()
    assert "token-rules" in caption


def test_every_artifact_that_the_grid_asks_for_is_there_and_no_other(made):
    results = made / "results"
    members = [f"{SITE}/{name}" for name in MEMBERS] + [f"{CONTROL}/tied_r2_l1-0.002_s0"]
    wanted = {f"{name}{suffix}" for name in members for suffix in (".safetensors", ".log.jsonl")}
    assert artifacts(results / "dictionaries") == wanted
    names = [*MEMBERS, *baselines_of(made)]
    assert artifacts(results / f"baselines/{SITE}") == {f"{name}.safetensors" for name in baselines_of(made)}
    assert artifacts(results / "activations") == {f"{SITE}.h5", f"{CONTROL}.h5"}
    assert artifacts(results / f"evaluation/{SITE}/rows") == {
        f"{name}{suffix}" for name in names for suffix in (".json", ".frequency.parquet")
    }
    assert artifacts(results / f"evaluation/{SITE}/gains") == {f"{name}.safetensors" for name in MEMBERS}
    assert not list(results.rglob("*.part"))
    assert not list((made / ".work/store").glob("*"))


def artifacts(folder: Path) -> set[str]:
    """The paths of all files below `folder`, without the stamps beside them."""
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    return {file for file in files if not file.endswith(".stamp")}


def test_a_stamp_vouches_for_every_file(made):
    found = [stamps.read(path) for path in sorted((made / "results").rglob("*.stamp"))]
    vouched = {file: sha256 for stamp in found if stamp for file, sha256 in stamp.files.items()}
    results = {file for file in artifacts(made / "results") if not file.startswith("logs/")}
    assert vouched.keys() == {f"results/{file}" for file in results}
    assert vouched == {file: sha256(made / file) for file in vouched}


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
    metrics = json.loads((made / "results/evaluation/metrics.json").read_text())
    assert {site: set(of_site) for site, of_site in metrics.items()} == {SITE: set(n_feat)}
    points = (made / "results/evaluation/points.csv").read_text().splitlines()
    assert len(points) == 1 + 2 * len(MEMBERS) + len(baselines_of(made))
    scored = read(made / f"results/autointerp/{SITE}/table.parquet", AUTOINTERP)
    subjects = ["tied_r2_l1-0.002_s0", "topk_r1_k8_s0", "pca", "ica", "nmf", "neuron_basis", "random"]
    plain = [row["name"] for row in scored if row["condition"] == "plain"]
    assert plain == [name for name in subjects for _ in range(TINY["autointerp"]["features"])]
    assert {row["name"] for row in scored if row["condition"] == "shuffled_null"} == {"tied_r2_l1-0.002_s0"}
    assert {row["scorer"] for row in scored} == {"token-rules"}
    control = read(made / f"results/autointerp/{CONTROL}/table.parquet", AUTOINTERP)
    assert [row["name"] for row in control] == ["tied_r2_l1-0.002_s0"] * TINY["autointerp"]["features"]


def read(path: Path, schema=EVALUATION) -> list[dict]:
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


def planned_jobs(folder: Path, *targets: str) -> dict[str, str]:
    """How often each rule would run, from the table of a dry run."""
    planned = snakemake(folder, "-n", *targets)
    assert planned.returncode == 0, planned.stdout
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", planned.stdout, re.MULTILINE))
    assert bool(jobs) != ("Nothing to be done" in planned.stdout), planned.stdout
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
    names = {file.name for file in (other / "results/dictionaries" / SITE).glob("*.safetensors*")}
    assert names == {f"tied_r2_l1-{value:g}_s0.safetensors{end}" for value in l1 for end in ("", ".stamp")}
    assert sha256(other / member) == sha256(made / member)


AFTER_DICTIONARIES = {f"evaluation_{SITE}", f"evaluation_tables_{SITE}", "evaluation_summary", f"plots_{SITE}"}
SCORING = {f"autointerp_{SITE}", f"autointerp_tables_{SITE}"}
GROWTH: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "an L1": ("grid", {"l1": [0.001, 0.002, 0.004, 0.008]}, {f"dictionaries_{SITE}_tied_r2", *AFTER_DICTIONARIES}),
    "a ratio": (
        "grid",
        {"ratios": [1, 2, 4], "only": [*TINY["grid"]["only"], {"ratios": [4]}]},
        {f"dictionaries_{SITE}_tied_r4", f"dictionaries_{SITE}_topk_r4", *AFTER_DICTIONARIES, *SCORING},
    ),
    "a top-k baseline": ("baselines", {"topk": [2, 4, 8]}, {f"baselines_{SITE}", *AFTER_DICTIONARIES}),
    "scored members": ("autointerp", {"members": "all"}, {*SCORING, f"plots_{SITE}"}),
    "an L1 less": (
        "grid",
        {"l1": [0.001, 0.002]},
        {f"evaluation_tables_{SITE}", "evaluation_summary", f"plots_{SITE}"},
    ),
    "settings that change no result": ("dictionaries", {"side_by_side": 1}, set()),
}


@pytest.mark.parametrize("what", GROWTH)
def test_what_is_new_in_params_is_made_and_nothing_else(made, what):
    section, change, jobs = GROWTH[what]
    write_params(made, TINY | {section: TINY[section] | change})
    try:
        planned = planned_jobs(made)
    finally:
        write_params(made, TINY)
    assert planned.keys() == ({*jobs, "all", "total"} if jobs else set())


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
    steps = re.findall(r"(\S+) -m sparse_coding\.workflow \.work/orders/(\w+)-\w+\.json", done.stdout + done.stderr)
    jobs = {job for _, job in steps}
    assert jobs >= {"dataset_tokens", "activations_model_0", f"evaluation_{SITE}", f"plots_{SITE}"}
    assert {Path(python).parent for python, _ in steps} == {binary.parent}


TWO_SITES = {"grid": {"sites": ["layer0_residual", SITE], "architectures": ["tied"], "ratios": [1], "l1": [0.002]}}


@pytest.mark.parametrize(("sites_per_pass", "passes"), [(None, {"model_0", "random_0"}), (1, {"model_1", "random_1"})])
def test_a_figure_needs_its_own_site_and_the_others_of_its_passes(made, tmp_path, sites_per_pass, passes):
    folder = make_workspace(
        tmp_path / "project", TINY | TWO_SITES | {"activations": {"sites_per_pass": sites_per_pass}}
    )
    (folder / "models" / "tiny").symlink_to(made / "models" / "tiny")
    (folder / "texts").symlink_to(made / "texts")
    planned = planned_jobs(folder, f"results/plots/{SITE}.png").keys() - {"total"}
    assert {job for job in planned if job.startswith("activations")} == {f"activations_{name}" for name in passes}
    assert planned >= {"dataset_tokens", f"dictionaries_{SITE}_tied_r1", f"plots_{SITE}"}
    assert not any(job.endswith("layer0_residual") for job in planned)
    every = planned_jobs(folder, "dictionaries").keys() - {"total"}
    cells = {f"{site}_tied_r1" for site in ("layer0_residual", SITE)}
    cells |= {f"random_{site}_tied_r1" for site in ("layer0_residual", SITE)}
    assert {job for job in every if not job.startswith("activations")} == {
        *{f"dictionaries_{cell}" for cell in cells},
        "dataset_tokens",
        "dictionaries",
    }


# Properties 2, 3, 4, 6 and 8 of docs/freshness.md on the real line; tests/workflow has them all, on a toy.


def seen(folder: Path) -> dict[str, tuple[int, int, str]]:
    """The inode, time and content of every artifact: the same only for what was left alone."""
    files = [f"results/{file}" for file in artifacts(folder / "results") if not file.startswith("logs/")]
    return {
        file: ((folder / file).stat().st_ino, (folder / file).stat().st_mtime_ns, sha256(folder / file))
        for file in files
    }


@pytest.fixture(scope="module")
def versioned(made, tmp_path_factory) -> Project:
    """The finished project under git and DVC, with the settings of this repository and its sources."""
    project = Project(tmp_path_factory.mktemp("versioned") / "project")
    leave = shutil.ignore_patterns("__pycache__", ".snakemake", "*.egg-info")
    shutil.copytree(made, project.folder, ignore=leave)
    shutil.copytree(ROOT / "src", project.folder / "src", ignore=leave)
    for name in ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore"):
        (project.folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, project.folder / name)
    project.replace("dvc.yaml", "prompts, models]", "prompts, models, texts]")
    project.git("init", "--quiet")
    return project


def run(project: Project, *command: str) -> str:
    done = project.start(*command).wait(timeout=300)
    assert done.code == 0, done.said
    return done.said


@pytest.fixture(scope="module")
def clone(versioned, tmp_path_factory) -> Project:
    """A clone on another machine, pulled, with other times on every file."""
    run(versioned, "dvc", "repro")
    run(versioned, "dvc", "push")
    versioned.git("add", "--all")
    versioned.git("commit", "--quiet", "--message", "all")
    project = Project(tmp_path_factory.mktemp("clone") / "project")
    versioned.git("clone", "--quiet", str(versioned.folder), str(project.folder))
    run(project, "dvc", "pull")
    random = np.random.default_rng(0)
    for file in sorted(project.folder.rglob("*")):
        if file.is_file() and not {".git", ".dvc"} & set(file.parts):
            os.utime(file, (moment := float(random.integers(1, 2**32)), moment))
    return project


def test_dvc_records_what_snakemake_made_and_makes_nothing_again(versioned):
    before = seen(versioned.folder)
    run(versioned, "dvc", "repro")
    assert seen(versioned.folder) == before
    assert versioned.is_fresh()
    assert "Running stage" not in run(versioned, "dvc", "repro")


def test_a_clone_makes_only_what_a_change_asks_for(clone, made):
    pulled = {file: content for file, (_, _, content) in seen(clone.folder).items()}
    local = {"results/dataset/tokens.h5", f"results/activations/{SITE}.h5", f"results/activations/{CONTROL}.h5"}
    assert pulled == {file: content for file, (_, _, content) in seen(made).items() if file not in local}
    assert clone.is_fresh()

    before = seen(clone.folder)
    write_params(clone.folder, TINY | {"grid": TINY["grid"] | {"l1": [0.001, 0.002, 0.004, 0.008]}})
    assert not clone.is_fresh()
    run(clone, "snakemake", "--cores", "2")
    grown = seen(clone.folder)
    member, evaluated = "tied_r2_l1-0.008_s0", f"results/evaluation/{SITE}"
    assert grown.keys() - before.keys() == {
        "results/dataset/tokens.h5",
        f"results/activations/{SITE}.h5",
        *(f"results/dictionaries/{SITE}/{member}{end}" for end in (".safetensors", ".log.jsonl")),
        *(f"{evaluated}/rows/{member}{end}" for end in (".json", ".frequency.parquet")),
        f"{evaluated}/gains/{member}.safetensors",
    }
    gathered = {f"evaluation/{SITE}/table.parquet", f"evaluation/{SITE}/frequency.parquet"}
    gathered |= {"evaluation/summary.csv", "evaluation/metrics.json", "evaluation/points.csv"}
    gathered |= {f"plots/{SITE}.png", f"plots/{SITE}.txt"}
    assert changed(before, grown) == {f"results/{file}" for file in gathered}

    write_params(clone.folder, TINY)
    said = run(clone, "snakemake", "--cores", "2")
    steps = {f"evaluation_tables_{SITE}", "evaluation_summary", f"plots_{SITE}"}
    assert set(re.findall(r"^\[\d/3\] (\w+) ", said, re.MULTILINE)) == steps, said
    again = seen(clone.folder)
    assert changed(grown, again) == {f"results/{file}" for file in gathered}
    assert {file: content for file, (_, _, content) in again.items() if file in pulled} == pulled
    store = Store(clone.folder, clone.folder / ".work/store", Hashes(clone.folder, clone.folder / ".work/hashes"))
    parked = [stamp for stamp, _ in store.entries() if stamp]
    assert {stamp.artifact for stamp in parked} >= {
        f"results/dictionaries/{SITE}/{member}.safetensors",
        f"results/evaluation/{SITE}/rows/{member}.json",
    }
    assert all(store.holds(stamp.key) for stamp in parked)


def changed(before: dict, after: dict) -> set[str]:
    """What was made again. A time of the future is taken from what a job reads, so times alone do not count."""
    return {file for file in before.keys() & after.keys() if before[file][::2] != after[file][::2]}


def test_a_step_that_is_killed_in_the_middle_of_a_cell_loses_one_member_at_most(made, tmp_path):
    slow = TINY | {"dictionaries": TINY["dictionaries"] | {"steps": 1500, "side_by_side": 1}}
    folder = tmp_path / "project"
    shutil.copytree(made, folder, symlinks=True)
    write_params(folder, slow)
    project, job = Project(folder), f"dictionaries_{SITE}_tied_r2"
    target = f"results/dictionaries/{SITE}/{MEMBERS[0]}.safetensors"
    started = project.start("snakemake", "--cores", "2", target)
    finished = wait_for_entries(folder, started, steps=1500)
    os.kill(process_of(folder, job), signal.SIGKILL)
    failed = started.wait()
    assert failed.code != 0
    assert f"FAILED {job}" in failed.said
    kept = {stamp.artifact: entry for stamp, entry in entries(folder, steps=1500)}
    assert 1 <= len(kept) < 3
    assert finished <= kept.keys()
    files = {artifact: (entry / artifact).stat().st_ino for artifact, entry in kept.items()}

    assert project.snakemake(target).code == 0
    assert f"{len(kept)} of 3 were finished before" in (folder / f"results/logs/{job}.log").read_text()
    assert {artifact: (folder / artifact).stat().st_ino for artifact in kept} == files
    params = params_file.load(folder / "params.yaml")
    (cell,) = [cell for cell in grid.cells(params, SITE) if cell.architecture == "tied"]
    dictionaries.run(
        slices.dictionaries(params, cell),
        activations=folder / f"results/activations/{SITE}.h5",
        output=tmp_path / "undisturbed",
        threads=2,
    )
    undisturbed = {file.name: file.read_bytes() for file in (tmp_path / "undisturbed").iterdir()}
    assert len(undisturbed) == 6
    for name, content in undisturbed.items():
        assert (folder / f"results/dictionaries/{SITE}" / name).read_bytes() == content


@pytest.fixture
def disturbed(made, tmp_path, monkeypatch) -> Project:
    """A copy of the finished line, in which the test then stands."""
    shutil.copytree(made, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(tmp_path / "project")
    return Project(tmp_path / "project")


def contents(folder: Path) -> dict[str, str]:
    return {file: content for file, (_, _, content) in seen(folder).items()}


def test_a_kill_under_other_settings_and_a_revert_leave_no_other_dictionaries(disturbed, made):
    folder, target = disturbed.folder, f"results/dictionaries/{SITE}/{MEMBERS[0]}.safetensors"
    write_params(folder, TINY | {"dictionaries": TINY["dictionaries"] | {"steps": 61}})
    started = disturbed.start("snakemake", "--cores", "2")
    while not ((stamp := stamps.read(folder / f"{target}.stamp")) and steps_of(stamp) == 61):
        assert started.process.poll() is None, started.wait().said
        time.sleep(0.02)
    os.killpg(started.process.pid, signal.SIGKILL)
    started.wait()
    write_params(folder, TINY)
    with pytest.raises(BadInput, match=r"training.steps: 61 -> 60"):
        load_dictionary(site=SITE, architecture="tied", l0=mean_l0(folder, MEMBERS[0]))
    assert "training.steps: 61 -> 60" in disturbed.sparse_coding("why", "all").said
    assert disturbed.snakemake().code == 0
    assert contents(folder) == contents(made)
    assert disturbed.sparse_coding("why", "all").said == "all: fresh. Nothing would run.\n"
    load_dictionary(site=SITE, architecture="tied", l0=mean_l0(folder, MEMBERS[0]))


def test_copies_deletions_and_another_grid_and_back(disturbed, made):
    folder = disturbed.folder / f"results/dictionaries/{SITE}"
    for end in (".safetensors", ".safetensors.stamp"):
        shutil.copy2(folder / f"{MEMBERS[0]}{end}", folder / f"{MEMBERS[1]}{end}")
        (folder / f"{MEMBERS[3]}{end}").unlink()
    shutil.copy2(disturbed.folder / f"results/baselines/{SITE}/pca.safetensors", folder / f"{MEMBERS[4]}.safetensors")
    write_params(disturbed.folder, TINY | {"grid": TINY["grid"] | {"l1": [0.001]}})
    assert disturbed.snakemake("dictionaries").code == 0
    write_params(disturbed.folder, TINY)
    assert disturbed.snakemake().code == 0
    assert contents(disturbed.folder) == contents(made)


def steps_of(stamp: stamps.Stamp) -> int:
    return stamp.record["settings"]["training"]["steps"]


def mean_l0(folder: Path, name: str) -> float:
    rows = read(folder / f"results/evaluation/{SITE}/table.parquet")
    return next(row["l0"] for row in rows if row["name"] == name and row["variant"] == "plain")


def entries(folder: Path, steps: int) -> list[tuple[stamps.Stamp, Path]]:
    """The members in the store that were trained for so many steps, with their folders."""
    found = [(stamps.read(path), path) for path in (folder / ".work/store").rglob("tied_r2_*.safetensors.stamp")]
    return [
        (stamp, folder / ".work/store" / stamp.key)
        for stamp, _ in found
        if stamp and stamp.record["settings"].get("training", {}).get("steps") == steps
    ]


def wait_for_entries(folder: Path, started: Started, steps: int) -> set[str]:
    """Wait until the store has a member; all that it then has."""
    while not (found := entries(folder, steps)):
        assert started.process.poll() is None, started.wait().said
        time.sleep(0.02)
    return {stamp.artifact for stamp, _ in found}


def process_of(folder: Path, job: str) -> int:
    """The process of a step in `folder`."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, place = (process / "cmdline").read_bytes().split(b"\0"), os.readlink(process / "cwd")
        except OSError:
            continue
        if Path(place) == folder and b"sparse_coding.workflow" in command and job.encode() in b" ".join(command):
            return int(process.name)
    raise LookupError(f"no process of {job}")

"""Under git and DVC: nothing is made again, neither there nor in a clone, but what a change asks for."""

# Properties 2, 3, 4, 6 and 8 of docs/freshness.md on the real line, with test_kills; tests/workflow has all, on a toy.

import os
import re
import shutil

import numpy as np
import pytest

from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.store import Store
from tests.line.tiny_line import CONTROL, SITE, TINY, seen
from tests.workflow.project import Project
from tests.workspace import ROOT, write_params

pytestmark = pytest.mark.gate


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

"""The toy in the real workflow: it is made when asked for, and one L1 more trains one dictionary a size."""

import copy
from pathlib import Path
from typing import Any

import pytest

from sparse_coding.workflow import explain
from sparse_coding.workflow.dump import of_checkout
from tests.workspace import make_workspace, snakemake, write_params

pytestmark = pytest.mark.gate

FIGURE = "results/plots/toy.png"
TINY: dict[str, Any] = {
    "toy": {
        "true_features": 8,
        "d_act": 4,
        "mean_active": 1,
        "steps": 20,
        "batch": 64,
        "held_out": 500,
        "conditions": ["independent"],
        "ratios": [1, 2],
        "l1": [0.1, 1],
    }
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = make_workspace(tmp_path_factory.mktemp("toy") / "project", TINY)
    done = snakemake(folder, FIGURE)
    assert done.returncode == 0, done.stdout
    return folder


def content(folder: Path) -> dict[str, tuple[int, bytes]]:
    """The inode and the bytes of every file of the toy but its logs."""
    files = [file for part in ("toy", "plots") for file in sorted((folder / "results" / part).rglob("*"))]
    return {str(file.relative_to(folder / "results")): (file.stat().st_ino, file.read_bytes())
            for file in files if file.is_file()}  # fmt: skip


def with_end(names: list[str]) -> set[str]:
    ends = (".safetensors", ".safetensors.stamp", ".json")
    return {f"toy/independent/{name}{end}" for name in names for end in ends}


def test_everything_is_there_and_nothing_else(made):
    gathered = {"toy/table.parquet", "toy/table.parquet.stamp", "toy/cells.csv"}
    drawn = {"plots/toy.png", "plots/toy.png.stamp", "plots/toy.txt"}
    members = [f"untied_r{ratio}_l1-{l1}_s0" for ratio in (1, 2) for l1 in ("0.1", "1")]
    assert content(made).keys() == gathered | drawn | with_end(members)
    assert "Nothing to be done" in snakemake(made, "-n", FIGURE).stdout
    assert "Nothing to be done" in snakemake(made, "-n", "toy").stdout


def test_one_l1_more_trains_one_dictionary_a_size_and_leaves_the_others(made):
    before = content(made)
    grown = copy.deepcopy(TINY)
    grown["toy"]["l1"] = [0.1, 0.3, 1]
    write_params(made, grown)
    try:
        done = snakemake(made, FIGURE, cores=1)
    finally:
        write_params(made, TINY)
    assert done.returncode == 0, done.stdout
    after = content(made)
    assert after.keys() - before.keys() == with_end(["untied_r1_l1-0.3_s0", "untied_r2_l1-0.3_s0"])
    changed = {name for name in before if after[name] != before[name]}
    assert {Path(name).name.split(".")[0] for name in changed} == {"table", "cells", "toy"}


def test_the_default_target_does_not_ask_for_it(made):
    graph = of_checkout(made)
    apart = {path for path in graph["artifacts"] if path.startswith("results/toy/")} | {FIGURE}
    assert apart
    assert not apart & set(explain.targets(graph, "all"))
    assert FIGURE in explain.targets(graph, "toy")
    assert "toy" not in snakemake(made, "-n", "--quiet", "host").stdout.split("Job stats")[-1]

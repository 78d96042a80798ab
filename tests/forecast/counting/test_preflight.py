"""Disk or memory that will not do: refused before anything is begun, by the sum; a dry run warns."""

import copy
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sparse_coding.forecast.counting import preflight
from sparse_coding.settings import jobs, params_file
from tests.fabricate import finish
from tests.settings.test_jobs import PARAMS, SITE
from tests.tiny_model import make_tiny_model
from tests.workspace import make_workspace, snakemake, write_params


def with_machine(**limits: float) -> dict[str, Any]:
    return copy.deepcopy(PARAMS) | {"machine": limits}


def made_in(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in (folder / "results").rglob("*") if file.is_file())


@pytest.fixture
def project(tmp_path) -> Path:
    folder = make_workspace(tmp_path / "project", PARAMS)
    make_tiny_model(folder / "models" / "tiny", layers=2)
    (folder / "texts").mkdir()
    (folder / "texts" / "one.txt").write_text("some text")
    return folder


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (
            {"disk": 0.001},
            ["disk (machine.disk): found 1.02 MiB allowed; wanted", "for what is to be made: activations"],
        ),
        ({"memory": 0.1}, ["memory (machine.memory): found 102 MiB allowed; wanted", "on 2 cores: activations_"]),
    ],
)
def test_it_is_refused_with_the_sum_and_nothing_is_made(limits, words, project):
    write_params(project, with_machine(**limits))
    done = snakemake(project)
    assert done.returncode == 1
    for word in (*words, "What would help: "):
        assert word in done.stdout
    assert made_in(project) == []
    tried = snakemake(project, "--dry-run")
    assert tried.returncode == 0
    assert f"warning: a run would be refused: {words[0]}" in tried.stdout


def test_what_is_fresh_is_not_counted(project):
    finish(project)
    write_params(project, with_machine(disk=0.0001, memory=0.001))
    assert "Nothing to be done" in snakemake(project).stdout
    (project / f"results/plots/{SITE}.png").unlink()
    tried = snakemake(project, "--dry-run")
    assert "disk (machine.disk)" in tried.stdout
    assert "plots" in tried.stdout.split("for what is to be made: ")[1].split(".")[0]
    write_params(project, with_machine(disk=0.01, memory=1))
    shutil.rmtree(project / f"results/evaluation/{SITE}")
    assert "warning" not in snakemake(project, "--dry-run").stdout


def test_only_what_was_asked_for_is_counted(project):
    write_params(project, with_machine(disk=0.001))
    assert "warning: a run would be refused" in snakemake(project, "-n", "dictionaries").stdout
    assert "warning" not in snakemake(project, "-n", "dataset").stdout
    assert "warning" not in snakemake(project, "-n", "dictionaries", "--until", "dataset_tokens").stdout
    listed = snakemake(project, "--list-rules")
    assert listed.returncode == 0
    assert "warning" not in listed.stdout


def test_a_really_small_disk(project):
    small = project / "results"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        done = snakemake(project)
        assert done.returncode == 1
        assert "disk (results): found" in done.stdout
        assert made_in(project) == []
    finally:
        subprocess.run(["umount", "--lazy", str(small)], check=True)


def test_a_model_whose_shape_is_unknown_stops_nobody(project, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(project)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    params = params_file.load(Path("params.yaml"))
    unknown = params.model_copy(update={"model": params.model.model_copy(update={"name": "some/one"})})
    assert preflight.problem(unknown, {"dataset_tokens": ["tokens"]}, 2) is None
    (line,) = capsys.readouterr().err.splitlines()
    assert "not known before the run" in line


def test_it_takes_no_time(project, monkeypatch):
    monkeypatch.chdir(project)
    large = with_machine()
    large["grid"] |= {"ratios": [0.5, 1, 2, 4, 8, 16, 32], "l1": [1e-4 * 1.2**step for step in range(16)]}
    write_params(project, large)
    params = params_file.load(Path("params.yaml"))
    todo = {name: job.members for name, job in jobs.wanted(params).items()}
    assert sum(map(len, todo.values())) > 500
    # against the plan's own time, so on any machine; this thread alone, the best of five: a worker of the suite has
    # other threads, and others' garbage to collect
    asked = [_seconds_of(preflight.problem, params, todo, os.cpu_count() or 1) for _ in range(5)]
    planned = [_seconds_of(jobs.wanted, params) for _ in range(5)]
    assert min(asked) < 2 * min(planned)


def _seconds_of(call: Callable[..., object], *of: object) -> float:
    began = time.thread_time()
    call(*of)
    return time.thread_time() - began

"""What a run makes, and what it leaves alone; how it is called."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.line.tiny_line import SITE, TINY, planned_jobs, sha256
from tests.workspace import make_workspace, snakemake, write_params

pytestmark = pytest.mark.gate


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

"""Kills, other settings, copies and deletions: what was finished is kept, and no other dictionary stands there."""

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.load import load_dictionary
from sparse_coding.settings import grid, params_file, slices
from sparse_coding.stages import dictionaries
from sparse_coding.workflow import stamps
from tests.line.tiny_line import MEMBERS, SITE, TINY, contents, read
from tests.workflow.project import Project, Started
from tests.workspace import write_params

pytestmark = pytest.mark.gate


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

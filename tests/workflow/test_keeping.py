"""The store, stamps that were touched, and disks that do not take what is written."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparse_coding.workflow import locks
from tests.workflow.project import PLOT, Project

STAMP = "results/models/round/round_1.txt.stamp"


def test_clean_shows_the_sum_and_deletes(project):
    project.set(values=[1, 3])
    project.build()
    refused = project.sparse_coding("clean")
    assert refused.code == 2
    assert "models" in refused.said
    assert "MB" in refused.said
    assert "clean: found nobody to ask; wanted --yes" in refused.said
    assert list(project.folder.glob(".work/store/*/"))
    assert "Deleted." in project.sparse_coding("clean", "--yes").said
    assert not list(project.folder.glob(".work/store/*/"))
    assert "empty" in project.sparse_coding("clean").said
    shutil.rmtree(project.folder / ".dvc" / "cache")
    project.set(values=[1, 2, 3])
    assert "round_2" in project.build()


def test_clean_knows_what_was_broken_off(project):
    file = project.folder / ".work" / "partly" / "abc"
    file.parent.mkdir()
    file.write_bytes(b"0" * 3_000_000)
    cut = file.with_name(".abc.1.part")  # a kill while one was written
    cut.write_bytes(b"0")
    assert "Broken off in the middle, to be gone on with: 1, 3.0 MB" in project.sparse_coding("clean").said
    assert file.is_file()
    assert "Deleted." in project.sparse_coding("clean", "--yes").said
    assert not file.exists()
    assert not cut.exists()


def test_clean_takes_nothing_from_a_run_that_is_under_way(project):
    file = project.folder / ".work" / "partly" / "abc"
    file.parent.mkdir()
    file.write_bytes(b"0")
    with locks.take(project.folder / ".work" / "run.lock"):
        refused = project.sparse_coding("clean", "--yes")
    assert refused.code == 2
    assert f"clean: found a run under way (process {os.getpid()}); wanted its end" in refused.said
    assert file.is_file()
    assert "Deleted." in project.sparse_coding("clean", "--yes").said


def test_a_stamp_that_was_edited_or_deleted_vouches_for_nothing(project):
    before = project.results()
    shutil.rmtree(project.folder / ".dvc" / "cache")
    project.replace(STAMP, '"shape":"round"', '"shape":"oval"')
    project.replace("results/models/square/square_2.txt.stamp", '"format":"stamp 1"', '"format":"stamp 0"')
    (project.folder / "results/models/square/square_3.txt.stamp").unlink()
    assert not project.is_fresh()
    said = project.sparse_coding("why", "models").said
    assert all(words in said for words in ("its stamp was edited", "a damaged stamp", "it has no stamp"))
    assert {"round_1", "square_2", "square_3"} <= set(project.build())
    assert project.results() == before
    assert project.repro() == []
    assert project.is_fresh()


@pytest.mark.parametrize("file", [STAMP.removesuffix(".stamp"), STAMP])
def test_a_folder_in_the_place_of_a_file_is_named_before_a_run(project, file):
    before = project.results()
    (project.folder / file).unlink()
    (project.folder / file).mkdir()
    project.forget()
    done = project.snakemake()
    assert done.code != 0
    assert f"{file}: found a folder; wanted room for the file" in done.said
    assert project.made() == []
    (project.folder / file).rmdir()
    project.build()
    assert project.results() == before


def test_a_picture_is_told_of_every_environment_that_its_numbers_come_from(project):
    assert project.read(PLOT).endswith("\n1\n")
    project.replace(STAMP, '"cpu":"', '"cpu":"another, ')
    assert project.sparse_coding("why", "all").said.startswith("all: fresh")  # it is no part of the key
    project.set(weight=11)
    project.build()
    assert project.read(PLOT).endswith("\n2\n")


def mounted(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Path]:
    """A folder to mount something on."""
    folder = tmp_path / "mount"
    folder.mkdir()
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], capture_output=True)


def test_a_read_only_checkout_is_named(project, mount):
    project.set(style="loud")
    mounted(mount, "--bind", str(project.folder))
    mounted(mount, "-o", "remount,ro,bind")
    done = Project(mount).snakemake("--dry-run")
    assert done.code != 0
    assert "a checkout that you may write to" in done.said or "Read-only file system" in done.said
    assert "Traceback" not in done.said


def fill(folder: Path) -> None:
    """Leave not a byte."""
    filler = os.open(folder / "filler", os.O_WRONLY | os.O_CREAT)
    for size in (2**20, 2**12, 1):
        try:
            while os.write(filler, bytes(size)):
                pass
        except OSError:
            continue
    os.close(filler)


def test_a_disk_that_fills_up_in_the_middle_of_a_cell(finished, mount):
    mounted(mount, "-t", "tmpfs", "-o", "size=24m", "tmpfs")
    project = finished.copy(mount / "project")
    project.set(values=[4, 5, 6], shapes=["round"])
    project.hold("round_6")
    project.forget()
    run = project.start_snakemake()
    project.wait_for("round_6")
    fill(mount)
    (project.folder / "hold-round_6").unlink()
    assert run.wait().code != 0
    (mount / "filler").unlink()
    made = project.made()
    assert {"round_4", "round_5"} <= set(made)
    assert [name for name in project.build() if name in ("round_4", "round_5")] == []
    assert (project.folder / PLOT).read_text().startswith("plain")

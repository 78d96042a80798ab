"""A fresh clone with `dvc pull`: nothing that counts was left behind, whatever the clocks say."""

import os
import random
import time
from pathlib import Path

import pytest

from tests.workflow.project import Project

TIMES = (0, 1, 86_400, 10**9, time.time(), 4_000_000_000, 4_102_444_800, 7 * 10**9)  # 1970 to 2191


@pytest.fixture
def clone(finished: Project, tmp_path: Path) -> Project:
    """Cloned and pulled, every time stamp drawn at random."""
    project = Project(tmp_path / "clone")
    finished.git("clone", "--quiet", str(finished.folder), str(project.folder))
    pulled = project.dvc("pull")
    assert pulled.code == 0, pulled.said
    shuffle(project)
    return project


def shuffle(project: Project, seed: int = 0) -> None:
    rng = random.Random(seed)
    for folder in ("results", "texts", "src"):
        for file in sorted((project.folder / folder).rglob("*")):
            when = rng.choice(TIMES)
            os.utime(file, (when, when))


def test_nothing_to_do_then_plots_only_then_new_members_only(clone, finished):
    assert clone.is_fresh()
    clone.set(style="loud")
    assert not clone.is_fresh()
    assert clone.build() == ["picture"]
    assert not (clone.folder / "results/words").exists()
    clone.set(style="plain", values=[1, 2, 3, 7])
    assert not clone.is_fresh()
    new = ["round_7", "score round_7", "score square_7", "square_7"]
    assert clone.build() == sorted(["words", *new, "picture", "table"])
    clone.set(values=[1, 2, 3])
    assert clone.build() == []
    words = {path: content for path, content in clone.results().items() if "/words/" not in path}
    assert words == {path: content for path, content in finished.results().items() if "/words/" not in path}
    assert clone.is_fresh()


@pytest.mark.parametrize("when", [0, 7 * 10**9])
def test_what_is_stale_is_seen_whatever_its_time(when, project):
    for file in (project.folder / "results").rglob("*"):
        os.utime(file, (when, when))
    project.set(style="loud")
    assert not project.is_fresh()
    assert project.build() == ["picture"]


def test_dvc_in_a_clone_makes_only_what_a_change_asks_for(clone):
    clone.set(style="loud")
    assert clone.repro() == ["picture"]
    assert not (clone.folder / "results/words").exists()
    assert clone.is_fresh()

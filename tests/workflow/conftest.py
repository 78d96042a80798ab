"""A finished project, made once and copied for each test that changes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workflow.project import PLOT, Project, end_all


@pytest.fixture(autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> tuple[Project, list[list[str]]]:
    """A project made by three commands, committed and pushed, and what each command made. Not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    project = Project.create(folder / "project")
    assert project.dvc("remote", "add", "--default", "local", str(folder / "remote")).code == 0
    made = [project.build("results/models/round/round_2.txt"), project.build(PLOT), project.repro()]
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "all")
    pushed = project.dvc("push")
    assert pushed.code == 0, pushed.said
    project.forget()
    return project, made


@pytest.fixture(scope="session")
def finished(made) -> Project:
    """Not to be changed."""
    return made[0]


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A finished project of the test's own."""
    return finished.copy(tmp_path / "project")

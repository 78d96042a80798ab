"""Finished projects, made once and copied for each test that changes them."""

from pathlib import Path

import pytest

from tests.workflow.project import Project


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Project:
    """Made by `dvc repro`, committed and pushed. Not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    project = Project.create(folder / "project")
    assert project.dvc("remote", "add", "--default", "local", str(folder / "remote")).code == 0
    project.repro()
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "all")
    pushed = project.dvc("push")
    assert pushed.code == 0, pushed.said
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A finished project of the test's own."""
    return finished.copy(tmp_path / "project")


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    """A project in which nothing was made."""
    return Project.create(tmp_path / "project")

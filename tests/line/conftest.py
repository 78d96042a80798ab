"""A workspace in which the whole workflow has run, made once."""

import shutil

import pytest

from tests.line.tiny_line import TINY, write_texts
from tests.tiny_model import make_tiny_model
from tests.workflow.project import Project
from tests.workspace import make_workspace, snakemake


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A workspace in which the whole workflow has run."""
    folder = make_workspace(tmp_path_factory.mktemp("line") / "project", TINY)
    make_tiny_model(folder / "models" / "tiny", layers=2)
    write_texts(folder / "texts")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def disturbed(made, tmp_path, monkeypatch) -> Project:
    """A copy of the finished line, in which the test then stands."""
    shutil.copytree(made, tmp_path / "project", symlinks=True)
    monkeypatch.chdir(tmp_path / "project")
    return Project(tmp_path / "project")

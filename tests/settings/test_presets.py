"""`make preset NAME=...`: shows the difference, copies, keeps the old file, refuses what is not there."""

import subprocess
import sys

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.settings import params_file, presets
from tests.workspace import ROOT

OLD = "grid:\n  seeds: [7]\n"
NAMES = sorted(file.stem for file in (ROOT / "presets").glob("*.yaml"))


@pytest.fixture
def target(tmp_path):
    (tmp_path / "params.yaml").write_text(OLD)
    return tmp_path / "params.yaml"


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_is_copied_and_the_old_file_is_kept(name, target):
    difference = presets.apply(name, ROOT / "presets", target)
    assert target.read_bytes() == (ROOT / "presets" / f"{name}.yaml").read_bytes()
    assert target.with_name("params.yaml.before").read_text() == OLD
    assert "-  seeds: [7]" in difference.splitlines()
    assert params_file.load(target)


def test_the_same_preset_again_changes_nothing(target):
    presets.apply("tiny", ROOT / "presets", target)
    assert presets.apply("tiny", ROOT / "presets", target) == ""
    assert target.with_name("params.yaml.before").read_text() == OLD


def test_a_preset_makes_a_file_where_there_is_none(tmp_path):
    presets.apply("tiny", ROOT / "presets", tmp_path / "params.yaml")
    assert {file.name for file in tmp_path.iterdir()} == {"params.yaml"}


@pytest.mark.parametrize("name", ["huge", "", "../params"])
def test_an_unknown_preset_is_refused_and_nothing_changes(name, target):
    with pytest.raises(BadInput, match=f"preset: found '{name}'; wanted NAME= one of {', '.join(NAMES)}"):
        presets.apply(name, ROOT / "presets", target)
    assert target.read_text() == OLD
    assert [file.name for file in target.parent.iterdir()] == ["params.yaml"]


def test_a_preset_that_is_not_valid_is_refused_and_nothing_changes(target, tmp_path):
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "bad.yaml").write_text("grid: {l1: [-1]}\n")
    with pytest.raises(BadInput, match=r"bad\.yaml: grid\.l1\.0: found -1"):
        presets.apply("bad", tmp_path / "presets", target)
    assert target.read_text() == OLD


def test_the_command_that_make_calls(target):
    (target.parent / "presets").symlink_to(ROOT / "presets")

    def preset(name: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "sparse_coding.settings.presets", name]
        return subprocess.run(command, cwd=target.parent, capture_output=True, text=True, timeout=60)

    applied, unknown = preset("tiny"), preset("huge")
    assert applied.returncode == 0
    assert "-  seeds: [7]" in applied.stdout
    assert "snakemake --cores all" in applied.stdout
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr.startswith("error: preset: found 'huge'; wanted NAME= one of ")
    assert unknown.stderr.count("\n") == 1

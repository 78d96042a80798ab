"""What decides whether a change may land, `.ci/run`, and the tier of tests that need servers."""

import os
import subprocess
import sys

import pytest

from tests.workspace import ROOT

ORDER = ["lint", "test", "gate", "test-servers"]
TESTS = """
import pytest

@pytest.mark.server
def test_one():
    pytest.skip("missing: a thing")

def test_other():
    pytest.skip("not today")
"""


@pytest.mark.parametrize("broken", [*ORDER, None])
def test_the_first_that_fails_ends_it(tmp_path, broken):
    """The make here only notes what it was called for."""
    make = tmp_path / "make"
    make.write_text(
        f'#!/bin/sh\necho "$* ${{REQUIRE_SERVERS:-}}" >> {tmp_path}/calls\ntest "$1" != "{broken}" || exit 2\n'
    )
    make.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([ROOT / ".ci/run"], env=env, cwd=tmp_path, check=False)
    assert done.returncode == (2 if broken else 0)
    called = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    assert [words[0] for words in called] == ORDER[: ORDER.index(broken) + 1 if broken else None]
    assert all((words[1:] == ["1"]) == (words[0] == "test-servers") for words in called)


@pytest.mark.parametrize("required", [False, True])
def test_what_is_missing_is_a_counted_skip_or_a_failure(tmp_path, required):
    (tmp_path / "conftest.py").write_text((ROOT / "tests/conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(TESTS)
    env = {name: value for name, value in os.environ.items() if name != "REQUIRE_SERVERS"}
    command = [sys.executable, "-m", "pytest", "-rs", "-c", ROOT / "pyproject.toml", "--rootdir", tmp_path, tmp_path]
    done = subprocess.run(
        command, env=env | ({"REQUIRE_SERVERS": "1"} if required else {}), cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == required, done.stdout
    assert ("1 failed, 1 skipped" if required else "2 skipped") in done.stdout
    assert ("REQUIRE_SERVERS=1, and missing: a thing" if required else "missing: a thing") in done.stdout

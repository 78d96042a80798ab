"""What this design works around in Snakemake. If one of these fails, Snakemake has changed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

OLD, NEW = 10**9, 2 * 10**9
CHAIN = """
rule last:
    input: {last}
    output: "last"
    shell: "echo last > {{output}}"

rule other:
    input: "middle"
    output: "other"
    shell: "echo other > {{output}}"

rule middle:
    input: "first"
    output: "middle"
    shell: "echo middle > {{output}}"

rule first:
    output: "first"
    shell: "echo first > {{output}}"
"""


def chain(folder: Path, input_of_last: str, /, **times: int) -> None:
    """A Snakefile of a chain of rules, and files with these times."""
    (folder / "Snakefile").write_text(CHAIN.format(last=input_of_last))
    for name, when in times.items():
        (folder / name).write_text(name)
        os.utime(folder / name, (when, when))


def jobs(folder: Path, *options: str) -> list[str]:
    """The rules that a dry run wants to run."""
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", *options]
    done = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return [name for name in ("first", "middle", "last", "other") if f"rule {name}:" in done.stdout]


@pytest.mark.parametrize(("when", "runs"), [(0, []), (1, ["last"])])
def test_a_time_of_exactly_zero_counts_as_fresh(when, runs, tmp_path):
    chain(tmp_path, '"middle"', first=OLD, middle=OLD, last=when)
    assert jobs(tmp_path, "--rerun-triggers", "mtime") == runs


def test_times_are_looked_at_whatever_the_triggers_are(tmp_path):
    chain(tmp_path, '"middle"', first=OLD, middle=NEW, last=OLD)
    assert jobs(tmp_path, "--rerun-triggers", "params") == ["last"]


ALONE = """
{limit}
rule all:
    input: "one", "two", "three"

for name in ("one", "two", "three"):
    rule:
        output: name
        resources: gpu=1
        shell: "mkdir busy 2>/dev/null || touch together; sleep 1; rmdir busy 2>/dev/null || true; touch {{output}}"
"""


@pytest.mark.parametrize(
    ("limit", "options", "together"),
    [
        ("", (), True),  # a resource that nobody declares has no limit
        ('workflow.register_resource("gpu", 1)', (), False),
        (
            'if "gpu" not in workflow.global_resources: workflow.register_resource("gpu", 3)',
            ("--resources", "gpu=1"),
            False,
        ),
    ],
)
def test_a_resource_that_the_snakefile_declares_is_a_limit(limit, options, together, tmp_path):
    (tmp_path / "Snakefile").write_text(ALONE.format(limit=limit))
    command = [sys.executable, "-m", "snakemake", "--cores", "3", *options]
    done = subprocess.run(command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "together").exists() is together


def test_a_profile_without_settings_stops_snakemake(tmp_path):
    chain(tmp_path, '"middle"', first=OLD, middle=OLD, last=OLD)
    (tmp_path / "profiles" / "default").mkdir(parents=True)
    with pytest.raises(AssertionError, match=r"config\.yaml|Profile"):
        jobs(tmp_path)


def test_ancient_inputs_alone_hide_what_a_running_job_will_change(tmp_path):
    chain(tmp_path, 'ancient("middle")', first=NEW, middle=OLD, last=NEW)
    assert jobs(tmp_path) == ["middle"]
    chain(tmp_path, '"middle"', first=NEW, middle=OLD, last=NEW)
    assert jobs(tmp_path) == ["middle", "last"]


def test_plain_inputs_with_an_absent_file_between_drag_in_finished_readers(tmp_path):
    chain(tmp_path, '"middle"', last=NEW)
    assert jobs(tmp_path) == []
    assert jobs(tmp_path, "--", "last", "other") == ["first", "middle", "last", "other"]


@pytest.mark.parametrize("options", [(), ("--forceall",)])
def test_a_job_without_inputs_cuts_off_what_is_upstream(options, tmp_path):
    chain(tmp_path, "[]", first=NEW, middle=OLD, last=OLD)
    assert jobs(tmp_path, *options) == (["last"] if options else [])

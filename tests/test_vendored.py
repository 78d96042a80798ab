"""The results that come with the repository: a fresh clone pulls them without a network, and they are what they say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparse_coding.io import dictionaries
from sparse_coding.load import load_dictionary
from sparse_coding.workflow import stamps
from sparse_coding.workflow.causes import Causes
from sparse_coding.workflow.dump import Dump, of_checkout
from sparse_coding.workflow.hashes import Hashes
from tests.fabricate import timed
from tests.workspace import ROOT

LARGEST = 26_000_000


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """What git holds of this repository, pulled."""
    folder = tmp_path_factory.mktemp("vendored") / "clone"
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    for name in filter(None, files):
        source, target = ROOT / os.fsdecode(name), folder / os.fsdecode(name)
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    timed(folder, "dvc", "pull")
    return folder


@pytest.fixture(scope="module")
def graph(clone) -> Dump:
    return of_checkout(clone)


def test_the_remote_is_small():
    files = [file for file in (ROOT / "vendored").rglob("*") if file.is_file()]
    assert 0 < sum(file.stat().st_size for file in files) < LARGEST


def test_every_stamp_vouches_for_its_files(clone):
    hashes = Hashes(clone, clone / ".work" / "hashes")
    found = sorted((clone / "results").rglob("*.stamp"))
    assert len(found) > 100
    for path in found:
        stamp = stamps.read(path)
        assert stamp is not None
        assert stamp.is_whole
        assert hashes.of(stamp.artifact, list(stamp.files)) == stamp.files


def test_all_is_there_but_what_stays_on_one_machine(graph):
    absent = [path for path, artifact in graph["artifacts"].items() if artifact["state"] == "absent"]
    stages = {graph["jobs"][graph["artifacts"][path]["job"]]["stage"] for path in absent}
    assert stages <= {"dataset", "activations", "toy"}  # the toy: made for those who ask


def test_nothing_is_stale_for_another_reason_than_code(graph, clone):
    causes = Causes(graph, clone)
    stale = [path for path, artifact in graph["artifacts"].items() if artifact["state"] not in ("fresh", "absent")]
    reasons = {cause.text for path in stale for cause in causes.of(path) if cause.kind != "code"}
    assert not reasons


def test_there_is_no_text_of_the_corpus(clone):
    assert not (clone / "results" / "dataset").exists()
    assert not (clone / "results" / "activations").exists()


def test_both_tools_say_that_nothing_is_to_be_done_where_the_code_is_that_of_the_results(graph, clone):
    if any(artifact["state"] == "stale" for artifact in graph["artifacts"].values()):
        pytest.skip("the code is newer than the results: `make refresh` before a release")
    assert "Nothing to be done" in timed(clone, "snakemake", "-n", "--cores", "2")[1]
    said = timed(clone, "dvc", "repro")[1]  # code that no step runs may have changed: then the plan is made, no more
    assert said.count("Running stage") == said.count("Running stage 'plan'")
    assert "up to date" in timed(clone, "dvc", "status")[1]


def test_dvc_shows_metrics_frontiers_and_what_was_changed(clone):
    for arguments in (["add", "-A"], ["-c", "user.name=n", "-c", "user.email=n@n", "commit", "-qm", "all"]):
        subprocess.run(["git", *arguments], cwd=clone, check=True)
    metrics = json.loads(timed(clone, "dvc", "metrics", "show", "--json")[1])[""]["data"]
    values = metrics["results/evaluation/metrics.json"]["data"]["layer2_residual"]
    assert 0 < values["tied_r4_l1-0.002_s0"]["plain"]["fvu"] < 1
    said = timed(clone, "dvc", "plots", "show", "--json")[1]
    plots = json.loads(said[said.index("{") :])["data"]
    for name, axis in (("fvu_against_l0", "fvu"), ("loss_recovered_against_l0", "loss_recovered")):
        points = plots[name][0]["content"]["data"]["values"]
        assert {point["site"] for point in points} == {"layer2_residual", "layer4_residual"}
        assert all(float(point["l0"]) >= 0 and axis in point for point in points)
    params = clone / "params.yaml"
    params.write_text(params.read_text().replace("steps: 1000", "steps: 1500"))
    changed = timed(clone, "dvc", "params", "diff", "--targets", "params.yaml", "--json")[1]
    assert json.loads(changed)["params.yaml"]["dictionaries.steps"] == {"old": 1000, "new": 1500, "diff": 500}
    assert json.loads(timed(clone, "dvc", "metrics", "diff", "--json")[1]) == {}
    assert "fvu" in timed(clone, "dvc", "exp", "show", "--csv")[1]
    params.write_text(params.read_text().replace("steps: 1500", "steps: 1000"))


def test_two_lines_load_a_dictionary(clone, monkeypatch):
    monkeypatch.chdir(clone)
    dictionary = load_dictionary(site="layer2_residual", architecture="tied", l0=10)
    assert dictionary.atoms.shape[1] == 128
    assert dictionary.l0 == pytest.approx(10, rel=0.2)
    assert f"{dictionary.name}, layer2_residual, tied, [512, 128], L0 " in str(dictionary)


def test_each_file_knows_what_it_is_and_keeps_its_bytes_when_it_is_written_again(clone, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(clone)
    paths = sorted(Path("results").glob("*/*/*.safetensors"))
    assert len(paths) > 70
    for path in paths:
        found, (dictionary, settings) = load_dictionary(path), dictionaries.load_with_settings(path)
        assert (found.name, found.site, found.path) == (path.stem, path.parent.name, str(path))
        is_control = path.parent.name.startswith("random_")  # which is not evaluated
        assert (found.l0 is None) == (found.fvu is None) == is_control
        dictionaries.save(tmp_path / "again", dictionary, settings)
        assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert capsys.readouterr().err == ""


def test_the_closing_words_name_the_figure_that_was_pulled(clone):
    done = subprocess.run(
        [sys.executable, "-m", "sparse_coding.cli.closing"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert "results/plots/layer2_residual.png" in done.stdout

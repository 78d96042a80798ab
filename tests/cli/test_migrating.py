"""A checkout of an earlier version: what is the same gets new stamps, and what is not is named."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_coding.cli import commands, migrating
from sparse_coding.errors import BadInput
from sparse_coding.settings import declared, earlier
from sparse_coding.settings.params import Params
from sparse_coding.workflow import canonical, dump, stamps
from sparse_coding.workflow.graph import Artifact, Graph, State
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.stamps import Stamp
from tests import equal_bytes

SITE = "mine"
SECTIONS: dict[str, Any] = {
    "grid": {"sites": [SITE], "architectures": ["tied", "topk"], "ratios": [2], "l1": [0.001, 0.01], "k": [4]},
    "activations": {"imported": {SITE: "vectors"}},
    "dictionaries": {"tied": {"initial_density": None}, "topk": {"lr_grows_to": None}},
    "baselines": {"methods": ["pca"], "topk": [], "topk_methods": []},
}
TIED = f"results/dictionaries/{SITE}/tied_r2_l1-0.001_s0.safetensors"
ACTIVATIONS = f"results/activations/{SITE}.h5"


@pytest.fixture
def project(tmp_path, monkeypatch) -> Path:
    """Made by an earlier version: every artifact, with the stamp that it had then."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "1.npy", np.zeros((4, 3)))
    made = graph()
    old: dict[str, tuple[str, dict]] = {}  # of each artifact, the key and record of before
    for path, artifact in made.artifacts.items():
        record = of_before(made, artifact, {name: key for name, (key, _) in old.items()})
        old[path] = canonical.digest(record), record
        for file in artifact.files:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(f"bytes of {file}")
        digests = {file: str(sha) for file, sha in Hashes(tmp_path, tmp_path / "none").of("x", artifact.files).items()}
        upstream = {old[name][0]: old[name][1] for name in artifact.inputs}
        stamp = Stamp(old[path][0], record, digests, {"old.py": "0"}, upstream, [{"python": "3"}])
        stamps.write(tmp_path / stamps.path_of(path), stamp)
    return tmp_path


def graph(**changes: dict[str, Any]) -> Graph:
    sections = copy.deepcopy(SECTIONS)
    for name, values in changes.items():
        sections[name] = sections.get(name, {}) | values
    found = declared.empty_graph(Path.cwd())
    declared.up_to_dictionaries(found, Params.model_validate(sections), SITE)
    return found


def of_before(made: Graph, artifact: Artifact, keys: dict[str, str]) -> dict[str, Any]:
    """The record that the version before would have written."""
    record = copy.deepcopy(artifact.record)
    record["source"] = f"before {record['step']}"
    record["inputs"] = {name: keys[name] for name in artifact.inputs}
    for leaf in made.maker[artifact.path].leaves:
        digest = canonical.digest([made.hashes.of("any", leaf.files), leaf.version])
        record["inputs"][f"{leaf.name} {leaf.root}"] = digest
    if "own" in record["settings"]:
        own = record["settings"].pop("own")
        record["settings"]["lr"] = own.pop("lr")
        own.pop("lr_grows_to", None)
        unread = {"l1_warmup_share": 0.1, "initial_density": None, "learned_centre": True}
        record["settings"]["training"] |= unread | own
        for member in record["settings"]["members"].values():
            member |= {"l1": member.get("l1"), "k": member.get("k")}  # null where it has none
    return record


def migration(found: Graph, equal: migrating.Pairs | None = None) -> migrating.Migration:
    """As the command begins."""
    file = found.root / "graph.json"
    dump.write(file, found, lambda artifact: "")
    if equal is None:
        equal = {}
        for artifact in found.artifacts.values():
            step, source = artifact.record["step"], artifact.record["source"]
            equal.setdefault(step, {})[source] = [f"before {step}"]
    return migrating.Migration(json.loads(file.read_bytes()), found.root, equal)


def test_what_is_the_same_is_fresh_and_carries_what_it_carried(project):
    found = graph()
    assert {artifact.state for artifact in found.artifacts.values()} == {State.STALE}
    begun = migration(found)
    taken, left = begun.found()
    assert list(taken) == list(found.artifacts)
    assert left == {}
    begun.write(taken)
    after = graph()
    assert {artifact.state for artifact in after.artifacts.values()} == {State.FRESH}
    stamp = stamps.read(project / stamps.path_of(TIED))
    assert stamp is not None
    assert stamp.environments == [{"python": "3"}]
    assert stamp.upstream == after.local_records(after.artifacts[TIED])
    assert (project / TIED).read_text() == f"bytes of {TIED}"
    assert migration(after).found() == ({}, {})


def test_what_comes_from_outside_may_have_been_known_as_it_is_today(project):
    """Of a version in between, of which only the code was another."""
    made = graph()
    old: dict[str, tuple[str, dict]] = {}
    for path, artifact in made.artifacts.items():
        inputs = {name: old[name][0] if name in old else digest for name, digest in artifact.record["inputs"].items()}
        record = copy.deepcopy(artifact.record) | {"source": f"before {artifact.record['step']}", "inputs": inputs}
        old[path] = canonical.digest(record), record
        found = stamps.read(project / stamps.path_of(path))
        assert found is not None
        upstream = {old[name][0]: old[name][1] for name in artifact.inputs}
        stamps.write(project / stamps.path_of(path), Stamp(*old[path], found.files, found.source, upstream, []))
    taken, left = migration(graph()).found()
    assert list(taken) == list(made.artifacts)
    assert left == {}
    (project / "vectors" / "1.npy").write_bytes(b"others")
    taken, left = migration(graph()).found()
    assert not {ACTIVATIONS, TIED} & taken.keys()
    assert left[ACTIVATIONS] == "what comes from outside was changed"


def test_activations_that_were_deleted_do_not_matter(project):
    (project / ACTIVATIONS).unlink()
    (project / stamps.path_of(ACTIVATIONS)).unlink()
    taken, left = migration(graph()).found()
    assert TIED in taken
    assert left == {}


def test_what_cannot_be_known_to_be_the_same_is_named(project):
    (project / TIED).write_text("other bytes")
    other = TIED.replace("0.001", "0.01")
    stamp = json.loads((project / stamps.path_of(other)).read_text())
    stamp["record"]["settings"]["lr"] = 7
    (project / stamps.path_of(other)).write_text(json.dumps(stamp))
    taken, left = migration(graph()).found()
    assert left == {TIED: "it has other bytes than its stamp names", other: "it has no whole stamp"}
    words = migrating.said(taken, left)
    assert f"Not taken over, because it has no whole stamp: {other}" in words
    assert words.startswith(f"{len(taken)} artifacts of before are those of today.")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dictionaries": {"tied": {"initial_density": 0.2}}}, "its settings are others"),
        ({"dictionaries": {"tied": {"initial_density": None}, "steps": 7}}, "its settings are others"),
        ({"activations": {"dtype": "float32", **SECTIONS["activations"]}}, f"{ACTIVATIONS}: its settings are others"),
    ],
)
def test_other_settings_are_not_the_same(changes, reason, project):
    taken, left = migration(graph(**changes)).found()
    assert TIED not in taken
    assert left[TIED] == reason


def test_other_vectors_are_not_the_same(project):
    np.save(project / "vectors" / "1.npy", np.ones((4, 3)))
    taken, left = migration(graph()).found()
    assert not any(path.startswith("results/") for path in taken)
    assert left[ACTIVATIONS] == "what comes from outside was changed"
    assert left[TIED] == f"{ACTIVATIONS}: what comes from outside was changed"


def test_code_that_is_not_known_to_write_the_same_bytes_is_not_the_same(project):
    found = graph()
    tied = found.artifacts[TIED].record
    equal = migration(found).equal
    equal[tied["step"]].pop(tied["source"])
    taken, left = migration(found, equal).found()
    assert left[TIED] == "the code of dictionaries is not known to write the same bytes"
    assert any("topk" in path for path in taken)  # another architecture has code of its own


def test_steps_that_made_the_same_bytes_are_found_by_remaking(project, tmp_path_factory):
    """Two finished checkouts; of a step with one file of other bytes, that code is left out."""
    again = tmp_path_factory.mktemp("again")
    found = graph()
    for path, artifact in found.artifacts.items():
        stamp = stamps.read(project / stamps.path_of(path))
        assert stamp is not None
        files = stamp.files if path != TIED else dict.fromkeys(stamp.files, "other")
        (again / path).parent.mkdir(parents=True, exist_ok=True)
        stamps.write(again / stamps.path_of(path), Stamp(artifact.key, artifact.record, files))
    table = equal_bytes.between(project, again)
    assert "sparse_coding.stages.baselines" in table
    topk = next(each for path, each in found.artifacts.items() if "topk" in path)
    assert topk.record["source"] in table[topk.record["step"]]
    assert found.artifacts[TIED].record["source"] not in table[topk.record["step"]]
    _, left = migration(found, table).found()
    assert left.keys() == {path for path in found.artifacts if "/tied" in path}


def test_what_is_known_to_be_equal_goes_on_over_versions_and_stays_where_nothing_was_tried():
    merged = equal_bytes.merged
    assert merged({"a": {"new": ["old"]}}, {"a": {"new": ["older", "old"]}}) == {"a": {"new": ["old", "older"]}}
    assert merged({"a": {"old": ["older"]}}, {"a": {"new": ["old"]}}) == {"a": {"new": ["old", "older"]}}
    assert merged({"a": {"b": ["c"]}, "d": {"e": ["f"]}}, {"d": {"g": ["h"]}}) == {
        "a": {"b": ["c"]},
        "d": {"e": ["f"], "g": ["h"]},
    }
    assert merged({"a": {"new": ["old"]}}, {"a": {"old": ["new"]}}) == {"a": {"old": ["new"]}}  # taken back


def test_without_a_terminal_nothing_is_written_unless_that_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    before = "dictionaries:\n  lr: {tied: 0.1}  # mine\n"
    (tmp_path / "params.yaml").write_text(before)
    with open("/dev/null", encoding="utf-8") as nobody:
        monkeypatch.setattr("sys.stdin", nobody)
        with pytest.raises(BadInput, match="migrate: found nobody to ask; wanted --write"):
            commands.migrate()
    assert (tmp_path / "params.yaml").read_text() == before
    assert "+  tied: {lr: 0.1}" in capsys.readouterr().out
    with pytest.raises(BadInput, match="no Snakefile"):
        commands.migrate(write=True)
    assert (tmp_path / "params.yaml").read_text() == "dictionaries:\n  # mine\n  tied: {lr: 0.1}\n"


def test_a_run_says_what_it_would_make_again_in_vain(project):
    found, known = graph(), {}
    for artifact in found.artifacts.values():
        step = artifact.record["step"]
        known.setdefault(step, {})[artifact.record["source"]] = [f"before {step}"]
    assert earlier.hint(found, known).startswith(f"{len(found.artifacts)} artifacts are of an earlier version")
    assert earlier.hint(found, {}) == ""
    begun = migration(found)
    begun.write(begun.found()[0])
    assert earlier.hint(graph(), known) == ""

"""The jobs on paper are those of the rules: names, members, and what waits for what."""

from pathlib import Path

import pytest

from sparse_coding.forecast.counting import together
from sparse_coding.settings import jobs, params_file
from sparse_coding.settings.jobs import Planned
from sparse_coding.settings.params import Plots
from sparse_coding.workflow.dump import of_checkout
from tests.tiny_model import make_tiny_model
from tests.workspace import make_workspace

SITE = "layer1_residual"
PARAMS = {
    "grid": {
        "sites": [SITE, "layer0_mlp"],
        "architectures": ["tied", "topk"],
        "ratios": [0.5, 2],
        "l1": [0.001],
        "k": [4, 8, 16],
    },
    "model": {"name": "models/tiny"},
    "dataset": {
        "corpus": "texts",
        "context": 32,
        "train_tokens": 6000,
        "held_out_tokens": 1500,
        "fragments": 150,
        "fragment_tokens": 32,
    },
    "baselines": {"topk": [4, 8]},
    "autointerp": {"members": "all"},
    "toy": {"ratios": [0.25, 2], "l1": [0.1], "conditions": ["independent"]},
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    made = make_workspace(tmp_path / "project", PARAMS)
    make_tiny_model(made / "models" / "tiny", layers=2)
    (made / "texts").mkdir()
    (made / "texts" / "one.txt").write_text("some text")
    monkeypatch.chdir(made)
    return made


def test_they_are_those_of_the_rules(folder):
    graph = of_checkout(folder)
    found = jobs.of_params(params_file.load(Path("params.yaml")))
    assert found.keys() == graph["jobs"].keys()
    for name, job in graph["jobs"].items():
        assert (found[name].stage, found[name].apart) == (job["stage"], job["apart"]), name
        assert len(found[name].members) == len(job["artifacts"]), name
        inputs = {path for each in job["artifacts"] for path in graph["artifacts"][each]["inputs"]}
        above = {graph["artifacts"][path]["job"] for path in inputs}
        assert above <= _upstream(name, found), name
        assert set(found[name].needs) <= above | {f"baselines_{SITE}"}, name


def _upstream(name: str, found: dict[str, Planned]) -> set[str]:
    direct = set(found[name].needs)
    return direct.union(*(_upstream(each, found) for each in direct)) if direct else direct


def job(name: str, *needs: str, threads: int = 1) -> Planned:
    return Planned(name, "plots", Plots(), (name,), needs, most_threads=threads)


def test_jobs_side_by_side_wait_for_none_of_the_others():
    known = {each.name: each for each in (job("a"), job("b", "a"), job("c"), job("d", "b"), job("e", threads=2))}
    memory = {"a": 10, "b": 9, "c": 5, "d": 8, "e": 12}
    assert together.most_memory(known, memory, 1) == (10, ["a"]) or together.most_memory(known, memory, 1)[0] == 12
    most, beside = together.most_memory(known, memory, 2)
    assert most == 15
    assert set(beside) == {"a", "c"}
    assert together.most_memory(known, memory, 4)[0] == 27


def test_the_clock_counts_what_runs_at_the_same_time_once():
    known = {each.name: each for each in (job("a"), job("b", "a"), job("c"))}
    seconds = {"a": 2.0, "b": 3.0, "c": 4.0}
    assert together.clock(known, seconds, 1) == pytest.approx(9)
    assert together.clock(known, seconds, 2) == pytest.approx(5)
    assert together.clock({"e": job("e", threads=2)}, {"e": 6.0}, 2) == pytest.approx(3)

"""A target that the workflow does not know is refused with what there is, and the nearest of it."""

import re
from argparse import Namespace
from pathlib import Path

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.workflow.asked import check_targets
from sparse_coding.workflow.graph import Graph
from sparse_coding.workflow.source import Source
from tests.workflow.project import TOY
from tests.workspace import make_workspace, snakemake, write_params


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    """Words, then a picture of them, and a picture that is made apart."""
    graph = Graph(tmp_path, tmp_path / ".work", Source(TOY / "src", "toy"))
    words = {"step": "toy.steps.words", "folder": "results/words", "settings": {}}
    graph.job("words_all", stage="words", outputs={"words": ["words.json"]}, **words)
    for name in ("round", "square"):
        graph.job(
            f"picture_{name}",
            stage="pictures",
            step="toy.steps.picture",
            folder="results/pictures",
            outputs={name: [f"{name}.png", f"{name}.txt"]},
            settings={},
            inputs={"words": "results/words/words.json"},
        )
    return graph


@pytest.mark.parametrize(
    "known",
    ["all", "words", "pictures", "words_all", "results/pictures/round.png", "results/pictures/round.txt",
     "results/pictures/round.png.stamp", "./results/words/words.json"],
)  # fmt: skip
def test_what_there_is_is_taken(graph, known):
    check_targets(graph, Namespace(targets=[known], forcerun=None))


@pytest.mark.parametrize("option", ["targets", "forcerun", "until", "omit_from"])
@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("results/pictures/rond.png", "results/pictures/round.png"), ("picture", "pictures"), ("results/words", "words")],
)
def test_what_there_is_not_is_refused_with_the_nearest(graph, option, typed, nearest):
    ends = "results/pictures/round.png, results/pictures/square.png"
    wanted = f"{nearest} (the nearest), or one of {ends}; or a stage: all, words, pictures"
    with pytest.raises(BadInput, match=re.escape(f"target: found '{typed}'; wanted {wanted}")):
        check_targets(graph, Namespace(**{option: ["words", typed]}))


def test_a_name_that_is_like_nothing_gets_the_list_alone(graph):
    with pytest.raises(BadInput, match=r"wanted one of results/pictures/round\.png"):
        check_targets(graph, Namespace(targets=["xyz"]))


def test_files_of_ones_own_are_no_business_of_the_workflow(graph):
    (graph.root / "note.txt").touch()
    check_targets(graph, Namespace(targets=["note.txt"]))
    (graph.root / "old.txt").touch()
    (graph.root / "old.txt.stamp").touch()  # a step made it; params.yaml does not ask for it any more
    with pytest.raises(BadInput, match=r"found 'old\.txt'"):
        check_targets(graph, Namespace(targets=["old.txt"]))


def test_two_jobs_of_one_name_are_refused(graph):
    with pytest.raises(BadInput, match="words_all: found two jobs of this name"):
        graph.job("words_all", stage="x", step="toy.steps.words", folder="results/x", outputs={}, settings={})


def test_snakemake_says_it_instead_of_a_missing_rule(tmp_path):
    params = {
        "grid": {"sites": ["mine", "other"]},
        "activations": {"imported": {"mine": "vectors", "other": "vectors"}},
    }
    folder = make_workspace(tmp_path / "project", params)
    (folder / "vectors").mkdir()
    (folder / "vectors/a.npy").touch()
    done = snakemake(folder, "-n", "results/baselines/mini/pca.safetensors")
    assert done.returncode == 1
    assert "MissingRuleException" not in done.stdout
    wanted = (
        r"target: found 'results/baselines/mini/pca\.safetensors'; wanted results/baselines/mine/pca\.safetensors \("
    )
    assert re.search(rf"^{wanted}the nearest\), or one of .*; or a stage: all, ", done.stdout, re.MULTILINE), (
        done.stdout
    )
    write_params(folder, params | {"grid": {"sites": ["other"]}})
    done = snakemake(folder, "-n", "results/evaluation/mine/table.parquet")
    assert "wanted results/evaluation/other/table.parquet (the nearest)" in done.stdout

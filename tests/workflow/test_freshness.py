"""What is made again after which change: exactly what depends on it, and both tools agree."""

import pytest

from tests.workflow.project import PLOT

ALL = [f"{shape}_{value}" for shape in ("round", "square") for value in (1, 2, 3)]
SCORES = [f"score {name}" for name in ALL]
MODELS, STEPS = "src/toy/steps/models.py", "src/toy/steps"


def test_one_target_builds_what_it_needs_and_dvc_then_records_without_making(empty):
    assert empty.build("results/models/round/round_2.txt") == ["round_1", "round_2", "round_3", "words"]
    assert empty.build(PLOT) == sorted([*ALL[3:], *SCORES, "table", "picture"])
    assert empty.repro() == []
    assert empty.is_fresh()


def test_a_second_run_does_nothing(project):
    assert project.is_fresh()
    assert project.repro() == []
    assert project.build() == []


def test_a_value_more_and_a_value_less(project):
    before = project.results()
    project.set(values=[1, 2, 3, 7])
    assert not project.is_fresh()
    new = ["round_7", "score round_7", "score square_7", "square_7"]
    assert project.build() == sorted([*new, "table", "picture"])
    assert project.repro() == []
    assert project.is_fresh()
    after = project.results()
    same = [path for path in before if "table" not in path and "picture" not in path]
    assert [path for path in same if after[path] != before[path]] == []
    project.set(values=[1, 2, 3])
    assert not project.is_fresh()
    assert project.repro() == []  # all of it was made once, and comes back
    assert project.is_fresh()
    assert project.results() == before


@pytest.mark.parametrize(
    ("settings", "made"),
    [
        ({"batch": 5}, []),
        ({"style": "loud"}, ["picture"]),
        ({"weight": 11}, sorted([*SCORES, "table", "picture"])),
        ({"values": [2, 3]}, ["picture", "table"]),
        ({"values": [3, 2, 1]}, ["picture", "table"]),
    ],
    ids=str,
)
def test_a_setting_makes_again_what_sees_it(settings, made, project):
    project.set(**settings)
    assert "Nothing to be done" in project.snakemake("-n").said or made
    assert project.build() == made
    assert project.repro() == []
    assert project.is_fresh()


def test_the_code_of_a_step_concerns_it_and_what_follows(project):
    project.replace(MODELS, "settings['shape']", "settings['shape'].title()")
    assert not project.is_fresh()
    assert project.repro() == sorted([*ALL, *SCORES, "table", "picture"])
    assert project.is_fresh()
    assert project.read("results/models/round/round_1.txt").startswith("Round 1")


def test_shared_code_concerns_all_steps_that_import_it(project):
    project.replace("src/toy/text.py", "upper()", "lower()")
    assert not project.is_fresh()
    assert project.build() == sorted(["words", *ALL, *SCORES, "table", "picture"])
    assert project.repro() == []
    assert project.is_fresh()


def test_a_comment_concerns_the_plan_alone(project):
    project.replace(MODELS, "    for name", "    # One after another.\n\n    for name")
    project.replace("src/toy/text.py", "What several steps share", "Shared")
    project.replace("params.yaml", "changes no result", "changes nothing at all")
    assert project.build() == []
    assert "changed deps" in project.dvc("status").said
    assert project.repro() == []
    assert project.is_fresh()


def test_another_set_of_settings_and_back_costs_nothing(project):
    before = project.results()
    project.set(values=[4], shapes=["round"], style="loud", ending="!\n")
    assert project.repro() == ["picture", "round_4", "score round_4", "table", "words"]
    project.set(values=[1, 2, 3], shapes=["round", "square"], style="plain", ending="\n")
    assert project.build() == []
    assert project.results() == before
    assert project.repro() == []
    project.set(values=[4], shapes=["round"], style="loud", ending="!\n")
    assert project.build() == []
    assert sorted(path.name for path in project.folder.glob("results/models/*/*.txt")) == ["round_4.txt"]


def test_a_changed_corpus_makes_all_again(project):
    (project.folder / "texts" / "c.txt").write_text("four\n")
    assert not project.is_fresh()
    assert len(project.build()) == 15
    project.replace("texts/a.txt", "two two", "two too")
    assert not project.is_fresh()
    assert len(project.repro()) == 15
    assert project.is_fresh()
    assert '"FOUR": 1' in project.read("results/models/round/round_1.txt")


@pytest.mark.parametrize("file", ["results/models/round/round_2.txt", "results/models/round/round_2.log", PLOT])
def test_an_artifact_overwritten_in_place_is_mended_alone(file, project):
    before = project.results()
    (project.folder / file).write_text("something else\n")
    assert not project.is_fresh()
    assert project.build() == ["picture" if file == PLOT else "round_2"]
    assert project.is_fresh()
    assert project.results() == before


def test_dvc_mends_an_artifact_overwritten_in_place(project):
    before = project.results()
    (project.folder / "results/scores/square_1.json").write_text("0\n")
    assert project.repro() == ["score square_1"]
    assert project.is_fresh()
    assert project.results() == before

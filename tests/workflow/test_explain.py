"""`sparse_coding why` and `inspect`: what would run, because of which change; what a file was made from."""

import pytest

from tests.workflow.project import MODELS, PLOT, Project

MODEL = "results/models/round/round_1.txt"


def why(project: Project, target: str) -> str:
    done = project.sparse_coding("why", target)
    assert done.code == 0, done.said
    return done.said


def test_nothing(project):
    assert why(project, "all") == "all: fresh. Nothing would run.\n"
    assert "fresh" in why(project, PLOT)
    (project.folder / "results/words/words.json").unlink()  # as after a pull: nothing that is wanted needs it
    assert "Nothing would run" in why(project, "all")
    assert why(project, "words").startswith("words: 1 of 6 steps would run.")


def test_a_parameter_from_what_to_what(project):
    project.set(weight=11, style="loud", values=[1, 2, 3, 7])
    said = why(project, PLOT)
    assert said.startswith(f"{PLOT}: 5 of 6 steps would run.\n")
    assert "weight: 10 -> 11" in said
    assert "style: plain -> loud" in said
    assert "models_round: 1 of 4 in results/models/round\n  round_7.txt\n    is not there" in said
    assert "follows from what is made above" in said
    assert "words_all" not in said


def test_a_source_file(project):
    project.replace(MODELS, "settings['shape']", "settings['shape'].title()")
    assert "code: toy/steps/models.py changed" in why(project, MODEL)
    project.replace("src/toy/text.py", "upper", "lower")
    said = why(project, "models")
    assert "words_all" in said
    assert "code: toy/text.py changed" in said


def test_an_input_from_outside(project):
    (project.folder / "texts" / "c.txt").write_text("four\n")
    assert "texts was changed" in why(project, "words")


def test_what_was_overwritten_and_what_comes_back(project):
    (project.folder / MODEL).write_text("other")
    assert "was changed" in why(project, MODEL)
    project.build()
    project.set(values=[1])
    project.build()
    project.set(values=[1, 2])
    assert "is in the store and comes back from there" in why(project, "models")


@pytest.mark.parametrize("target", ["results/models/round", "models_round", "models", f"./{MODEL}", f"{MODEL}.stamp"])
def test_a_target_may_be_a_folder_a_step_a_stage_or_a_file(project, target):
    project.replace(MODELS, "settings['shape']", "settings['shape'].title()")
    assert "round_1.txt" in why(project, target)


def test_an_unknown_target_is_refused_in_one_line(project):
    done = project.sparse_coding("why", "results/nothing.txt")
    assert done.code == 2
    assert done.said.count("\n") == 1
    assert "target: found 'results/nothing.txt'; wanted a file below results" in done.said


def test_inspect_tells_what_a_file_was_made_from(project):
    said = project.sparse_coding("inspect", "results/models/round/round_1.log").said
    for words in (MODEL, "toy.steps.models", "members.round_1: 1", "from      results/words/words.json",
                  "PyYAML 6", "state     fresh"):  # fmt: skip
        assert words in said
    project.set(values=[2, 3])
    assert "params.yaml does not ask for it" in project.sparse_coding("inspect", MODEL).said
    project.set(values=[1, 2, 3])
    project.replace(MODEL, "round", "ROUND")
    said = project.sparse_coding("inspect", MODEL).said
    assert "state     foreign" in said
    assert "was changed" in said


def test_a_companion_is_told_by_its_own_name(project):
    said = project.sparse_coding("inspect", "results/models/round/round_1.log").said
    assert said.startswith(f"results/models/round/round_1.log\n  beside    {MODEL}\n")
    assert project.sparse_coding("inspect", MODEL).said.splitlines()[0] == MODEL


@pytest.mark.parametrize("command", [("why", "all"), ("inspect", PLOT)])
def test_outside_a_checkout_it_is_said_where_to_run_it(project, command):
    (project.folder / "Snakefile").unlink()
    done = project.sparse_coding(*command)
    assert done.code == 2
    assert "found no Snakefile; wanted the root of a checkout" in done.said
    assert done.said.count("\n") == 1


def test_inspect_refuses_a_file_without_a_stamp(project):
    done = project.sparse_coding("inspect", "params.yaml")
    assert done.code == 2
    assert "params.yaml: found no stamp beside it" in done.said

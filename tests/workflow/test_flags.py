"""Snakemake's own options do what they say, or say that they did not; and so do DVC's."""

import pytest

from tests.workflow.project import ALL, PLOT, SCORES, TAIL

ROUND = ["round_1", "round_2", "round_3"]
FORCED = {
    "everything": (["-F"], ["words", *ALL, *SCORES, *TAIL]),
    "a rule and what follows": (["-R", "models_round"], [*ROUND, *SCORES, *TAIL]),
    "a stage and what follows": (["-R", "models"], [*ALL, *SCORES, *TAIL]),
    "a file": (["-f", PLOT], ["picture"]),
}


@pytest.mark.parametrize("what", FORCED)
def test_forced(what, project):
    options, made = FORCED[what]
    before = project.results()
    assert project.build(*options) == sorted(made)
    assert project.results() == before
    assert project.is_fresh()


def test_dvc_repro_force_says_that_nothing_was_done(project):
    project.forget()
    done = project.dvc("repro", "-f")
    assert done.code == 0, done.said
    assert done.said.count("Nothing to be done") == 4
    assert project.made() == []
    assert project.is_fresh()


def test_the_whole_graph_is_shown_also_when_all_is_fresh(project):
    graph = project.snakemake("--rulegraph").said
    assert all(f'"{rule}"' in graph for rule in ("words_all", "models_round", "scores_all", "plots_picture"))
    jobs = project.snakemake("--dag").said
    assert jobs.count("->") >= 7
    assert "results/words/words.json" in project.snakemake("--summary").said
    before = project.results()
    assert project.snakemake("--report", "report.html").code == 0
    assert "scores_table" in project.read("report.html")
    assert project.results() == before


def test_all_output_is_deleted_also_when_all_is_fresh(project):
    deleted = project.snakemake("--delete-all-output", "--dry-run").said
    assert all(f"Would delete {path}" in deleted for path in project.results())
    assert project.snakemake("--delete-all-output").code == 0
    assert project.results() == {}


def test_touching_is_refused(project):
    done = project.snakemake("--touch")
    assert done.code != 0
    assert done.said.count("--touch: found a wish to make files look new; wanted nothing") == 1
    assert "Traceback" not in done.said


def test_a_finished_member_can_be_asked_for_while_its_siblings_are_not(project):
    project.set(values=[1, 2, 3, 7])
    assert "Nothing to be done" in project.snakemake("results/models/round/round_1.txt").said
    assert project.build("results/models/round/round_7.txt") == ["round_7"]


def test_dvc_experiments_make_new_members_only(project):
    project.forget()
    done = project.dvc("exp", "run", "--name", "seven", "-S", "values=[1,2,3,7]")
    assert done.code == 0, done.said
    assert project.made() == sorted(["round_7", "score round_7", "score square_7", "square_7", *TAIL])
    assert "seven" in project.dvc("exp", "show").said


def test_a_mistake_in_the_settings_is_one_message_from_both_tools(project):
    before = project.results()
    project.set(values=["many"])
    for done in (project.snakemake(), project.dvc("repro")):
        assert done.code != 0
        assert done.said.count("params.yaml: values: found ") == 1
        assert "Traceback" not in done.said
    assert project.results() == before
    project.set(values=[1, 2, 3])
    assert project.is_fresh()


def test_a_corpus_that_dvc_does_not_watch_is_refused(project):
    project.replace("dvc.yaml", "src, texts]", "src]")
    project.set(batch=5)
    done = project.dvc("repro")
    assert done.code != 0
    assert "dvc.yaml: stages: plan: deps: found no path in which texts/a.txt lies" in done.said
    assert "a line `- texts` there" in done.said


def test_a_parse_by_a_job_uses_the_decisions_of_the_run(project):
    project.set(values=[1, 2, 3, 7])
    project.forget()
    project.hold("round_7")
    run = project.start_snakemake()
    project.wait_for("round_7")
    by_the_run = project.made().count("square_7")
    inner = project.snakemake(
        "--mode", "subprocess", "--nolock", "--target-jobs", "models_square:", "--allowed-rules", "models_square",
        "--force", "--quiet", "all",
    )  # fmt: skip
    assert inner.code == 0, inner.said
    assert project.made().count("square_7") == by_the_run + 1
    assert project.made().count("square_1") == 0
    project.release("round_7")
    assert run.wait().code == 0

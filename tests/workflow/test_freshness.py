"""What is made again after which change: exactly what depends on it, and both tools agree."""

import shutil

from tests.workflow.project import ALL, MODELS, PLOT, SCORES, TAIL


def test_one_target_builds_what_it_needs_and_dvc_then_records_without_making(made):
    project, (one_model, plot, by_dvc) = made
    assert one_model == ["round_1", "round_2", "round_3", "words"]
    assert plot == sorted([*ALL[3:], *SCORES, *TAIL])
    assert by_dvc == []
    assert project.is_fresh()


def test_a_second_run_does_nothing(project):
    before = project.results()
    assert project.build() == []
    assert project.repro() == []
    assert project.results() == before


def test_a_value_more_makes_only_what_is_new(project):
    before = project.results()
    project.set(values=[1, 2, 3, 7])
    assert not project.is_fresh()
    assert project.repro() == sorted(["round_7", "score round_7", "score square_7", "square_7", *TAIL])
    assert project.is_fresh()
    after = project.results()
    changed = {path.rpartition("/")[2].split(".")[0] for path in before if after[path] != before[path]}
    assert changed == {"table", "picture"}


def test_other_settings_and_back_cost_nothing(project):
    before = project.results()
    project.set(values=[4], shapes=["round"], style="loud", ending="!\n")
    assert not project.is_fresh()
    assert project.build() == ["picture", "round_4", "score round_4", "table", "words"]
    assert sorted(path.name for path in project.folder.glob("results/models/*/*.txt")) == ["round_4.txt"]
    assert len(list(project.folder.glob(".work/store/*/"))) >= 12  # six models, six scores
    project.set(values=[1, 2, 3], shapes=["round", "square"], style="plain", ending="\n")
    assert not project.is_fresh()
    assert project.build() == []  # all of it was made once, and comes back from the store
    assert project.results() == before
    assert project.is_fresh()


def test_a_setting_concerns_what_sees_it(project):
    project.set(batch=5)
    assert "Nothing to be done" in project.snakemake("-n").said
    for settings, made in (
        ({"style": "loud"}, ["picture"]),
        ({"weight": 11}, sorted([*SCORES, *TAIL])),
        ({"values": [3, 2]}, TAIL),
    ):
        project.set(**settings)
        assert not project.is_fresh()
        assert project.build() == made, settings


def test_code_concerns_the_steps_that_import_it(project):
    project.replace(MODELS, "    for name", "    # One after another.\n\n    for name")
    project.replace("src/toy/text.py", "What several steps share", "Shared")
    project.replace("params.yaml", "changes no result", "changes nothing at all")
    assert project.build() == []
    project.replace(MODELS, "settings['shape']", "settings['shape'].title()")
    assert not project.is_fresh()
    assert project.build() == sorted([*ALL, *SCORES, *TAIL])
    assert project.read("results/models/round/round_1.txt").startswith("Round 1")
    project.replace("src/toy/text.py", "upper()", "lower()")
    assert project.repro() == sorted(["words", *ALL, *SCORES, *TAIL])
    assert project.is_fresh()


def test_a_comment_concerns_the_plan_alone(project):
    keys = project.read("keys.json")
    project.replace(MODELS, "A model a member", "One model for each member")
    done = project.dvc("repro")
    assert "Running stage 'plan'" in done.said
    assert done.said.count("Running stage") == 1
    assert project.read("keys.json") == keys
    assert project.is_fresh()


def test_a_changed_corpus_makes_all_again(project):
    (project.folder / "texts" / "c.txt").write_text("four\n")
    assert not project.is_fresh()
    assert project.repro() == sorted(["words", *ALL, *SCORES, *TAIL])
    assert project.is_fresh()
    assert '"FOUR": 1' in project.read("results/models/round/round_1.txt")
    project.replace("texts/a.txt", "two two", "two too")
    assert not project.is_fresh()


def test_what_was_overwritten_in_place_is_mended_alone(project):
    before = project.results()
    shutil.rmtree(project.folder / ".dvc" / "cache")
    for file in ("results/models/round/round_2.txt", "results/models/square/square_1.log", PLOT):
        (project.folder / file).write_text("something else\n")
    assert not project.is_fresh()
    assert project.build() == ["picture", "round_2", "square_1"]
    assert "Nothing to be done" in project.snakemake("-n").said
    (project.folder / "results/scores/square_1.json").write_text("0\n")
    assert project.repro() == ["score square_1"]
    assert project.is_fresh()
    assert project.results() == before

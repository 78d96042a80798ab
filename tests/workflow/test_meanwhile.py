"""What changes while a run is under way: the run fails, nothing is recorded under a wrong key, nothing is lost."""

import pytest

from tests.workflow.project import MODELS, Project

NEW = "round_7"


@pytest.fixture
def held(project: Project) -> Project:
    """A project in which the next run makes a member that waits."""
    project.set(values=[1, 2, 3, 7])
    project.hold(NEW)
    return project


def test_settings(held):
    run = held.start_snakemake()
    held.wait_for(NEW)
    held.set(weight=12)
    held.release(NEW)
    done = run.wait()
    assert done.code != 0
    assert done.said.count("error: models: params.yaml: found settings that were changed during this run") == 1
    held.set(weight=10)
    made = held.build()
    assert NEW not in made  # it was finished, and kept
    assert "square_7" in made
    assert "Nothing to be done" in held.snakemake("--dry-run").said


def test_a_comment_in_the_settings_disturbs_nothing(held):
    run = held.start_snakemake()
    held.wait_for(NEW)
    held.replace("params.yaml", "changes no result", "is of no consequence")
    held.release(NEW)
    assert run.wait().code == 0


def test_settings_after_the_last_step_has_begun(project):
    project.set(style="loud")
    project.replace("src/toy/steps/picture.py", "    output.mkdir", "    wait()\n    output.mkdir")
    project.replace("src/toy/steps/picture.py", "def run", "def wait() -> None:\n    Path('params.yaml').write_text("
                    "Path('params.yaml').read_text().replace('loud', 'quiet'))\n\n\ndef run")  # fmt: skip
    done = project.snakemake()
    assert done.code != 0
    assert "params.yaml: found settings that were changed during this run" in done.said
    assert not project.is_fresh()


def test_code(held):
    run = held.start_snakemake()
    held.wait_for(NEW)
    held.replace(MODELS, "settings['shape']", "settings['shape'].title()")
    held.release(NEW)
    done = run.wait()
    assert done.code != 0
    assert "found code that was changed during this run" in done.said
    held.replace(MODELS, "settings['shape'].title()", "settings['shape']")
    assert NEW in held.build()  # what ran then was of unknown code: it was not kept


def test_code_of_a_step_that_was_done_already(project):
    project.set(weight=11)
    edit = f"Path('{MODELS}').write_text(Path('{MODELS}').read_text().replace('< 0:', '< 0.5:'))"
    project.replace("src/toy/steps/picture.py", "    output.mkdir", f"    {edit}\n    output.mkdir")
    done = project.snakemake()
    assert done.code != 0
    assert "the code of toy: found changes that were made while the run was under way" in done.said
    assert "round_1" in project.build()


def test_the_corpus(project):
    project.set(values=[1, 2, 3, 7], ending="!\n")
    project.replace("src/toy/steps/words.py", "    output.mkdir", "    (texts / 'c.txt').write_text('new')\n"
                    "    (texts / 'a.txt').write_text('other')\n    output.mkdir")  # fmt: skip
    done = project.snakemake()
    assert done.code != 0
    assert "error: words: texts: found files that were changed during this run" in done.said
    assert not project.is_fresh()


def test_settings_between_the_plan_and_a_stage_of_dvc(held):
    lock = held.read("dvc.lock")
    run = held.start_dvc("repro")
    held.wait_for(NEW)
    held.set(style="loud")
    held.release(NEW)
    assert run.wait().code != 0
    after = held.read("dvc.lock")
    assert [part for part in after.split("  models:")[1:]] == [part for part in lock.split("  models:")[1:]]
    made = held.repro()
    assert NEW not in made
    assert held.is_fresh()


def test_a_stage_of_dvc_refuses_settings_that_its_plan_did_not_see(project):
    project.set(style="loud")
    done = project.dvc("repro", "--single-item", "--force", "plots")
    assert done.code != 0
    assert "keys.json: found a plan of plots for other settings, code or inputs" in done.said
    assert project.repro() == ["picture"]


def test_settings_while_dvc_makes_the_plan(project):
    lock = project.read("dvc.lock")
    edit = "Path('params.yaml').write_text(Path('params.yaml').read_text().replace('plain', 'loud'))"
    project.replace("Snakefile", "WORK.declared()", f"WORK.declared()\n{edit}")
    done = project.dvc("repro")
    assert done.code != 0
    assert "plan: params.yaml: found a change that was made while the plan was" in done.said
    assert project.read("dvc.lock") == lock
    project.replace("Snakefile", f"\n{edit}", "")
    assert project.repro() == ["picture"]
    assert project.is_fresh()


def test_a_second_run_is_refused(held):
    run = held.start_snakemake()
    held.wait_for(NEW)
    second = held.snakemake()
    assert second.code != 0
    assert second.said.count("found another run under way (process ") == 1
    assert "Traceback" not in second.said
    assert "models_round" in held.snakemake("--dry-run").said  # looking is free
    held.release(NEW)
    assert run.wait().code == 0
    assert held.made().count(NEW) == 1
    assert held.build() == []

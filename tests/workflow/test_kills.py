"""Kills and failures at bad moments: what was finished is not made again, and no byte is another for it."""

import os
import shutil
import signal

from tests.workflow.project import ALL, SCORES, TAIL, Project

HELD = "round_3"
REST = [HELD, *SCORES, *TAIL]


def start_over(project: Project) -> dict[str, bytes]:
    """The results of an undisturbed run; they, the store and DVC's cache are gone."""
    before = project.results()
    for folder in ("results", ".work", ".dvc/cache"):
        for path in sorted((project.folder / folder).rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    project.forget()
    return before


def rerun(project: Project, before: dict[str, bytes], made: list[str]) -> None:
    assert project.build() == sorted(made)
    assert project.results() == before
    assert project.repro() == []  # DVC's cache was taken away too
    assert project.is_fresh()


def test_a_step_that_is_killed_in_the_middle_of_a_cell(project):
    before = start_over(project)
    project.hold(HELD)
    run = project.start_snakemake()
    os.kill(project.wait_for(HELD), signal.SIGKILL)
    assert run.wait().code != 0
    project.release(HELD)
    already = {"words", "round_1", "round_2"} | {name for name in project.made() if name.startswith("square")}
    assert set(project.made()) == {*already, HELD}
    rerun(project, before, [name for name in ["words", *ALL, *SCORES, *TAIL] if name not in already])


def test_snakemake_that_is_killed(project):
    before = start_over(project)
    project.hold(HELD)
    run = project.start_snakemake()
    step = project.wait_for(HELD)
    run.kill()
    os.kill(step, signal.SIGKILL)
    project.release(HELD)
    done = project.made()
    made = [name for name in ["words", *ALL, *SCORES, *TAIL] if name not in done or name == HELD]
    rerun(project, before, made)  # and no lock had to be cleared by hand


def test_a_step_that_outlives_its_snakemake_is_waited_for(project):
    before = start_over(project)
    project.hold(HELD)
    run = project.start_snakemake()
    project.wait_for(HELD)
    run.kill()
    second = project.start_snakemake("results/models/round/round_3.txt")
    project.release(HELD)
    done = second.wait()
    assert done.code == 0, done.said
    assert project.made().count(HELD) == 1
    assert project.snakemake().code == 0
    assert project.results() == before


def test_dvc_that_is_killed(project):
    before = project.results()
    project.set(values=[1, 2, 3, 7])
    project.hold("round_7")
    run = project.start_dvc("repro")
    step = project.wait_for("round_7")
    run.kill()
    os.kill(step, signal.SIGKILL)
    project.release("round_7")
    while "another run under way" in (tried := project.dvc("repro")).said:
        pass  # until the Snakemake that dvc left behind has ended
    assert tried.code == 0, tried.said
    assert project.is_fresh()
    after = project.results()
    assert {path for path in before if before[path] != after.get(path)} == {
        f"results/{path}" for path in ("plots/picture.txt", "plots/picture.txt.stamp",
                                       "scores/table.csv", "scores/table.csv.stamp")
    }  # fmt: skip


def test_a_member_that_fails_takes_nothing_from_those_before_it(project):
    project.set(values=[4, 5, -1], shapes=["round"])
    project.forget()
    failed = project.snakemake()
    assert failed.code != 0
    assert "error: models: round_-1: found -1; wanted no negative value" in failed.said
    assert project.made() == ["round_-1", "round_4", "round_5"]
    assert not (project.folder / "results/models/round/round_4.txt").exists()  # kept, and not published
    project.set(values=[4, 5, 6])
    assert project.build() == sorted(["round_6", "score round_4", "score round_5", "score round_6", *TAIL])


def test_the_store_may_be_deleted_at_any_time(project):
    for path in sorted((project.folder / ".work").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    assert project.is_fresh()
    project.set(values=[2])
    assert project.build() == TAIL


def test_the_folder_of_work_may_be_deleted_under_a_run(project):
    before = start_over(project)
    project.hold(HELD)
    run = project.start_snakemake()
    project.wait_for(HELD)
    shutil.rmtree(project.folder / ".work")
    project.release(HELD)
    done = run.wait()
    assert done.code != 0
    assert "Traceback" not in done.said
    assert project.snakemake().code == 0
    assert project.results() == before

"""What lies upstream of what is fresh is put right too: wrong, foreign or lost, by whatever way it came there."""

import os
import shutil
import signal

import pytest

from tests.workflow.project import ALL, PLOT, Project

MODEL = "results/models/round/round_2.txt"
WORDS = "results/words/words.json"


def copy_over(project: Project, source: str, target: str, *, stamp: bool) -> None:
    for end in ("", ".stamp") if stamp else ("",):
        shutil.copyfile(project.folder / f"{source}{end}", project.folder / f"{target}{end}")


def remove(project: Project, *files: str) -> None:
    for file in files:
        (project.folder / file).unlink()


def forget_what_is_kept(project: Project) -> None:
    shutil.rmtree(project.folder / ".dvc" / "cache")
    shutil.rmtree(project.folder / ".work" / "store", ignore_errors=True)


def assert_all_is_as_before(project: Project, before: dict[str, bytes]) -> None:
    assert project.results() == before
    assert project.is_fresh()
    assert project.sparse_coding("why", "all").said == "all: fresh. Nothing would run.\n"


def killed_when_other_models_are_there(project: Project, **settings: object) -> None:
    """A run under other settings, killed once the models of the first shape are replaced; the settings are back."""
    before = project.read("params.yaml")
    project.set(**settings)
    project.hold("square_1")
    run = project.start_snakemake()
    step = project.wait_for("square_1")
    run.kill()
    os.kill(step, signal.SIGKILL)
    project.release("square_1")
    (project.folder / "params.yaml").write_text(before)


@pytest.fixture
def reverted(project: Project) -> tuple[Project, dict[str, bytes]]:
    before = project.results()
    killed_when_other_models_are_there(project, ending="!\n")
    assert project.results()[MODEL] != before[MODEL]
    project.forget()
    return project, before


@pytest.mark.parametrize("target", ["all", PLOT])
def test_a_kill_and_a_revert_leave_no_other_models_under_a_fresh_picture(reverted, target):
    project, before = reverted
    said = project.sparse_coding("why", target).said
    assert "models_round: 3 of 3" in said
    assert "ending" in said
    assert "Nothing to be done" not in project.snakemake("--dry-run", target).said
    assert not project.is_fresh()
    assert project.build(target) == []  # what was replaced is in the store
    assert_all_is_as_before(project, before)


def test_dvc_mends_it_too(reverted):
    project, before = reverted
    assert project.repro() == []
    after = {path: content for path, content in project.results().items() if "/words/" not in path}
    assert after == {path: content for path, content in before.items() if "/words/" not in path}
    assert project.snakemake().code == 0
    assert_all_is_as_before(project, before)


def test_they_are_made_where_nothing_keeps_them(reverted):
    project, before = reverted
    forget_what_is_kept(project)
    assert project.build(PLOT) == ["round_1", "round_2", "round_3", "words"]
    after = project.results()
    assert not any("square" in path for path in after if "/models/" in path)  # Snakemake had removed them for the run
    assert after == {path: before[path] for path in after}
    assert project.build() == ["square_1", "square_2", "square_3"]
    assert project.results() == before


def test_models_alone_and_a_revert(project):
    before = project.results()
    project.set(ending="!\n")
    assert project.build("models") == sorted(["words", *ALL])
    project.set(ending="\n")
    assert project.build(PLOT) == []
    assert_all_is_as_before(project, before)


@pytest.mark.parametrize("stamp", [True, False])
@pytest.mark.parametrize("kept", [True, False])
def test_another_member_copied_over_one(project, stamp, kept):
    before = project.results()
    copy_over(project, MODEL.replace("_2", "_1"), MODEL, stamp=stamp)
    if not kept:
        forget_what_is_kept(project)
    assert "round_2.txt" in project.sparse_coding("why", PLOT).said
    assert not project.is_fresh()
    assert project.build(PLOT) == ([] if kept else ["round_2"])
    assert project.results() == before
    if kept:
        assert_all_is_as_before(project, before)


def test_a_lost_member_comes_back_from_the_cache_of_dvc_for_any_target(project):
    before = project.results()
    remove(project, MODEL)
    assert "is in DVC's cache and comes back from there" in project.sparse_coding("why", PLOT).said
    assert not project.is_fresh()
    assert project.build(PLOT) == []
    assert_all_is_as_before(project, before)


@pytest.mark.parametrize("target", ["all", PLOT, "models"])
def test_nothing_is_made_for_what_comes_back(project, target):
    """As in a clone: no words, no store."""
    before = {path: content for path, content in project.results().items() if "/words/" not in path}
    remove(project, WORDS, f"{WORDS}.stamp", MODEL)
    shutil.rmtree(project.folder / ".work" / "store", ignore_errors=True)
    copy_over(project, MODEL.replace("_2", "_1"), MODEL.replace("_2", "_3"), stamp=False)
    said = project.sparse_coding("why", target).said
    assert "round_2.txt" in said
    assert "words" not in said
    assert project.build(target) == []
    assert project.results() == before


def test_a_lost_member_that_nothing_keeps_is_made_for_the_whole_alone(project):
    before = project.results()
    forget_what_is_kept(project)
    remove(project, MODEL, f"{MODEL}.stamp")
    assert project.sparse_coding("why", PLOT).said.endswith("Nothing would run.\n")
    assert project.build(PLOT) == []
    assert not (project.folder / MODEL).exists()
    assert "is not there" in project.sparse_coding("why", "all").said
    assert not project.is_fresh()
    assert project.build() == ["round_2"]
    assert project.results() == before


def test_what_stays_on_this_machine_is_not_made_only_because_it_is_lost(project):
    remove(project, WORDS, f"{WORDS}.stamp")
    assert project.is_fresh()
    assert project.build() == []
    assert project.repro() == []


def test_what_stays_on_this_machine_is_put_away_where_it_is_of_other_settings(project):
    words = project.read(WORDS)
    project.set(ending="!\n")
    assert project.build("words") == ["words"]
    shutil.rmtree(project.folder / ".work" / "store")  # the first version
    project.set(ending="\n")
    said = project.sparse_coding("why", "all").said
    assert said.startswith("all: fresh. Nothing would run.\n")
    assert "moves it into the store" in said
    assert "ending: !" in said
    assert (project.folder / WORDS).exists()  # asked, not run
    assert project.build() == []
    assert not (project.folder / WORDS).exists()
    assert project.build("words") == ["words"]
    assert project.read(WORDS) == words
    project.set(ending="!\n")
    assert project.build("words") == []  # what was put away comes back


def test_what_stays_on_this_machine_comes_back_under_what_is_fresh(project):
    before = project.results()
    project.set(ending="!\n")
    project.build("words")
    project.set(ending="\n")
    assert project.build() == []
    assert_all_is_as_before(project, before)


def test_a_damaged_copy_in_the_cache_of_dvc_is_not_taken(project):
    before = project.results()
    content = before[MODEL]
    (cached,) = (
        file for file in (project.folder / ".dvc/cache").rglob("*") if file.is_file() and file.read_bytes() == content
    )
    cached.chmod(0o644)
    cached.write_bytes(b"damaged")
    remove(project, MODEL)
    assert project.build() == ["round_2"]
    assert project.results() == before


def test_a_damaged_copy_in_the_store_gives_way_to_that_of_dvc(project):
    before = project.results()
    project.set(ending="!\n")
    project.build("models")
    project.set(ending="\n")
    for file in (project.folder / ".work/store").rglob("round_2.txt"):
        file.write_text("damaged")
    assert project.build(PLOT) == []
    assert_all_is_as_before(project, before)


def test_another_branch_without_its_files(project):
    before = project.results()
    project.git("switch", "--quiet", "--create", "louder")
    project.set(style="loud", values=[1, 4])
    assert project.repro() == sorted(["picture", "round_4", "score round_4", "score square_4", "square_4", "table"])
    project.git("commit", "--quiet", "--all", "--message", "louder")
    project.git("switch", "--quiet", "main")
    assert not project.is_fresh()
    assert project.build() == []
    assert_all_is_as_before(project, before)

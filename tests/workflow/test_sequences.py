"""Whatever happened before, a run leaves what a clean run makes: random sequences of what people and machines do.

A sequence is known by its seed, which a failure names with all that was done. Run one alone:
SEQUENCE=17 pytest tests/workflow/test_sequences.py
More of them than the suite has time for: SEQUENCES=40 pytest tests/workflow/test_sequences.py
"""

import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

import pytest

from tests.workflow.project import PLOT, Project

pytestmark = pytest.mark.gate

SEQUENCES = int(os.environ.get("SEQUENCES", 20))
ACTIONS = 8  # at most
SIDE_BY_SIDE = 2
Settings = dict[str, Any]
COMMITTED: Settings = {"values": [1, 2], "ending": "\n", "style": "plain"}
CHANGES: Settings = {"values": [[1, 2], [2, 1, 3]], "ending": ["\n", "!\n"], "style": ["plain", "loud"]}
BRANCHES = {"main": COMMITTED, "other": COMMITTED | {"style": "loud", "values": [2, 1, 3]}}
LOCAL = ("results/words/", "results/counts/")
# A second artifact that stays on its machine, between words and models.
COUNTS = """
counts = WORK.job(
    "counts_all", stage="counts", step="toy.steps.counts", folder="results/counts",
    outputs={"counts": ["counts.json"]}, settings={}, inputs={"words": "results/words/words.json"}, local=True,
)


rule:
    name: counts.name
    input: counts.input
    output: counts.output
    params: order=counts.order
    shell: "{STEP} {params.order:q}"


for shape in PARAMS["shapes"]:
    models"""
COUNTED = 'inputs={"words": "results/counts/counts.json"},\n    )'
CHANGED = ("modified", "deleted", "new", "changed deps")  # as `dvc status` says it; "not in cache" is no change


@pytest.fixture(scope="module")
def start(tmp_path_factory) -> Project:
    """Two branches of one shape, both made and committed; on main."""
    project = Project.create(tmp_path_factory.mktemp("sequences") / "start")
    project.set(shapes=["round"], **COMMITTED)
    project.replace("Snakefile", '\nfor shape in PARAMS["shapes"]:\n    models', COUNTS)
    project.replace("Snakefile", 'inputs={"words": "results/words/words.json"},\n    )', COUNTED)
    project.replace("Snakefile", '("words", "models"', '("words", "counts", "models"')
    for branch, settings in BRANCHES.items():
        if branch != "main":
            project.git("switch", "--quiet", "--create", branch)
        project.set(**settings)
        assert project.dvc("repro").code == 0
        project.git("add", "--all")
        project.git("commit", "--quiet", "--message", branch)
    project.git("switch", "--quiet", "main")
    assert project.dvc("checkout").code == 0
    assert project.snakemake().code == 0
    return project


class Clean:
    """What a clean run makes under some settings, made once."""

    def __init__(self, start: Project, folder: Path) -> None:
        self.start, self.folder, self.lock = start, folder, Lock()
        self.known: dict[str, dict[str, bytes]] = {}

    def results(self, settings: Settings) -> dict[str, bytes]:
        name = repr(sorted(settings.items()))
        with self.lock:
            if name not in self.known:
                project = self.start.copy(self.folder / f"clean-{len(self.known)}")
                for kept in ("results", ".work", ".dvc/cache"):
                    shutil.rmtree(project.folder / kept)
                project.set(**settings)
                done = project.snakemake()
                assert done.code == 0, done.said
                self.known[name] = project.results()
            return self.known[name]


class Sequence:
    """One sequence in the making. `done`: what was done, in words."""

    def __init__(self, project: Project, seed: int) -> None:
        self.project, self.rng = project, random.Random(seed)
        self.branch, self.settings = "main", dict(COMMITTED)
        self.done: list[str] = []

    def act(self) -> None:
        """One action, drawn by its weight."""
        weights: dict[Callable[[], str], int] = {
            self.edit: 5, self.run: 4, self.run_killed: 4, self.revert: 3, self.copy: 3, self.delete: 3,
            self.overwrite: 1, self.switch: 2, self.repro: 1, self.forget: 1,
        }  # fmt: skip
        (action,) = self.rng.choices(list(weights), list(weights.values()))
        self.done.append(action())

    def edit(self) -> str:
        name = self.rng.choice(list(CHANGES))
        self.settings[name] = self.rng.choice(CHANGES[name])
        self.project.set(**{name: self.settings[name]})
        return f"{name} = {self.settings[name]!r}"

    def revert(self) -> str:
        self.project.git("checkout", "--quiet", "params.yaml")
        self.settings = dict(BRANCHES[self.branch])
        return "revert"

    def target(self) -> str:
        return self.rng.choice(["all", "all", "words", "counts", "models", "scores", PLOT])

    def run(self) -> str:
        target = self.target()
        return f"snakemake {target}: {self.project.snakemake(target).code}"

    def run_killed(self) -> str:
        target, group, seconds = self.target(), self.rng.random() < 0.5, self.rng.uniform(0.8, 3.5)
        run = self.project.start_snakemake(target)
        time.sleep(seconds)
        (os.killpg if group else os.kill)(run.process.pid, signal.SIGKILL)
        run.process.wait()
        return f"snakemake {target}, {'all of it' if group else 'itself'} killed after {seconds:.2f} s"

    def repro(self) -> str:
        return f"dvc repro: {self.project.dvc('repro').code}"

    def artifacts(self) -> list[Path]:
        return sorted(file for file in (self.project.folder / "results").rglob("*.stamp"))

    def copy(self) -> str:
        """One artifact over another of the stage, with its stamp or without, or the stamp alone."""
        stamps = [stamp for stamp in self.artifacts() if f"results/{stamp.parent.name}/" not in LOCAL]
        if not stamps:
            return "nothing to copy"
        target = self.rng.choice(stamps)
        source = self.rng.choice([stamp for stamp in stamps if stamp.parent == target.parent])
        ends = self.rng.choice([("", ".stamp"), ("",), (".stamp",)])
        for end in ends:
            from_, to = (Path(f"{str(path).removesuffix('.stamp')}{end}") for path in (source, target))
            if from_.exists() and from_ != to:
                shutil.copy2(from_, to)
        return f"copy {source.stem} over {target.stem}, {ends}"

    def delete(self) -> str:
        stamps = self.artifacts()
        if not stamps:
            return "nothing to delete"
        stamp = self.rng.choice(stamps)
        ends = self.rng.choice([("", ".stamp"), ("",), (".stamp",)])
        for end in ends:
            Path(f"{str(stamp).removesuffix('.stamp')}{end}").unlink(missing_ok=True)
        return f"delete {stamp.stem}, {ends}"

    def overwrite(self) -> str:
        files = sorted(file for file in (self.project.folder / "results").rglob("*") if file.is_file())
        if not files:
            return "nothing to overwrite"
        file = self.rng.choice(files)
        file.write_text("something else\n")
        return f"overwrite {file.name}"

    def switch(self) -> str:
        self.project.git("checkout", "--quiet", "--force")
        self.branch = self.rng.choice(list(BRANCHES))
        self.project.git("switch", "--quiet", "--force", self.branch)
        self.settings = dict(BRANCHES[self.branch])
        with_files = self.rng.random() < 0.5
        if with_files:
            self.project.dvc("checkout", "--force")
        return f"switch to {self.branch}{', dvc checkout' if with_files else ''}"

    def forget(self) -> str:
        what = self.rng.choice([".work", ".work/store", ".dvc/cache"])
        shutil.rmtree(self.project.folder / what, ignore_errors=True)
        return f"delete {what}"

    def check(self, clean: Clean) -> None:
        """A run, and all is as a clean run leaves it; both tools say so."""
        before = self.project.snakemake()
        assert before.code == 0, before.said
        wanted, found = clean.results(self.settings), self.project.results()
        lost = {path for path in wanted if path.startswith(LOCAL) and path not in found}
        wrong = {path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path)} - lost
        assert not wrong, sorted(wrong)
        dry, status = self.project.start_snakemake("--dry-run"), self.project.start_dvc("status")
        assert "Nothing to be done" in dry.wait().said
        recorded = "dvc repro" not in " ".join(self.done) and self.settings == BRANCHES[self.branch]
        said = status.wait().said
        changed = [line for line in said.splitlines() if line.split(":")[0].strip() in CHANGED]
        assert not (recorded and changed), said


def play(start: Project, clean: Clean, folder: Path, seed: int) -> str:
    """The sequence of a seed; what went wrong, empty where nothing did."""
    sequence = Sequence(start.copy(folder / f"sequence-{seed}"), seed)
    try:
        for _ in range(sequence.rng.randint(2, ACTIONS)):
            sequence.act()
        sequence.check(clean)
    except Exception as error:
        return "\n".join(
            [f"seed {seed}:", *(f"  {each}" for each in sequence.done), f"  {type(error).__name__} {error}"]
        )
    shutil.rmtree(sequence.project.folder)
    return ""


@pytest.mark.timeout(1200)
def test_a_run_leaves_what_a_clean_run_makes(start, tmp_path):
    clean = Clean(start, tmp_path)
    one = os.environ.get("SEQUENCE")
    seeds = [int(one)] if one else list(range(SEQUENCES))
    print(f"seeds {seeds[0]} to {seeds[-1]}")
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        failed = list(filter(None, pool.map(lambda seed: play(start, clean, tmp_path, seed), seeds)))
    assert not failed, "\n".join(failed)

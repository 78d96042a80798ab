"""What a Snakefile says to Snakemake about freshness.

Two statements suffice. A job whose artifacts are all fresh has no inputs, so Snakemake finds nothing to do and looks
no further upstream; where something there is to be mended (mending.py), it has the way to it for its inputs. A job with
work to do has its real inputs and one more, a file of the future: what lies on disk is older than that, so it runs. Its
outputs are only those artifacts that are not fresh, or stand on what is mended: Snakemake never touches the others. No
time of an artifact is read for a decision; one is written only where it is that of no possible day.
"""

import atexit
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.workflow import asked, dump, locks, orders, stamps, todo
from sparse_coding.workflow.graph import Artifact, Graph, Job, State, files_of
from sparse_coding.workflow.keeping import Keeping
from sparse_coding.workflow.mending import Ways, mend
from sparse_coding.workflow.source import Source

FUTURE, PAST = 4_000_000_000, 86_400  # the years 2096 and 1970; at exactly 0 Snakemake would see no time at all
SHOWS = (  # what is about the whole graph, also where there is nothing to do
    "dag", "rulegraph", "filegraph", "d3dag", "summary", "detailed_summary", "report", "archive", "delete_all_output",
)  # fmt: skip
NO_RUN = (
    *SHOWS, "dryrun", "list_rules", "list_target_rules", "lint", "unlock", "cleanup_metadata", "delete_temp_output",
    "list_changes", "containerize", "generate_unit_tests",
)  # fmt: skip
STAGE_VARIABLE = "DVC_STAGE"  # set by DVC for the commands that it runs
WHOLE = "all"  # the rule of the default target


class RuleParts:
    """What a rule says of one job."""

    def __init__(self, job: Job, input: list[str], output: list[str], order: str) -> None:
        self.name, self.job, self.input, self.output, self.order = job.name, job, input, output, order


class Decision(NamedTuple):
    """What is done of a job: the names of its artifacts that are made, and carried; the order; what it waits for."""

    work: list[str]
    carried: list[str]
    order: str
    inputs: list[str]


NOTHING = Decision([], [], "", [])


class Snakefile:
    """The jobs of a Snakefile, declared one after another, and what the command line asks of them.

    workflow: Snakemake's own object. watched: settings files, which must not change while a run is under way.
    """

    def __init__(self, workflow: Any, graph: Graph, watched: Iterable[str], keys: str = "keys.json") -> None:
        self.graph, self.keys = graph, graph.root / keys
        self.main, self.cores = workflow.is_main_process, workflow.cores or 1
        self.asked = _command_line()
        self.runs = self.main and not any(getattr(self.asked, name, None) for name in NO_RUN)
        self.shows = any(getattr(self.asked, name, None) for name in SHOWS)
        self.tries = self.main and not self.shows and bool(getattr(self.asked, "dryrun", False))
        self.watched = {name: orders.watch(graph.root / name) for name in watched}
        self.keeping = Keeping(graph)
        targets = getattr(self.asked, "targets", None)
        self.ways = Ways(whole=not targets or WHOLE in targets)
        self._decisions = graph.work / "decisions.json"
        self._decided: dict[str, Decision] = {}
        self._forced: set[str] = set()
        self._beside: list[str] = []
        if getattr(self.asked, "touch", False):
            raise BadInput("--touch", "a wish to make files look new", "nothing: freshness is decided by content")
        self._begin()

    def _begin(self) -> None:
        """Take the lock of a run, and make the file of the future."""
        self.future = str(self.graph.work.relative_to(self.graph.root) / f"changed.{os.getpid()}")
        if not self.main:
            self.future, decided = json.loads(self._decisions.read_bytes())
            self._decided = {name: Decision(*each) for name, each in decided.items()}
            return
        try:
            if self.runs:
                self._lock = locks.take(self.graph.work / "run.lock")
                if self._lock is None:
                    process = locks.holder(self.graph.work / "run.lock")
                    raise BadInput(self.graph.root, f"another run under way (process {process})", "one at a time: wait")
                self._sweep()
            path = self.graph.root / self.future
            # New bytes each time: Snakemake forgives new times where it remembers the bytes.
            write_text(path, f"{time.time_ns()}\n")
            os.utime(path, (FUTURE, FUTURE))
        except OSError as error:
            raise BadInput(self.graph.work, f"a folder that cannot be written ({error.strerror})",
                           "a checkout that you may write to, or a copy of this one") from None  # fmt: skip
        atexit.register(_remove, path, os.getpid())

    def _sweep(self) -> None:
        """Remove what earlier runs left: their orders, and their files of the future if they were killed."""
        for path in (self.graph.work / "orders").glob("*.json"):
            path.unlink(missing_ok=True)
        for path in self.graph.work.glob("changed.*"):
            if not _is_alive(path.suffix.removeprefix(".")):
                path.unlink(missing_ok=True)

    def job(self, name: str, **declared: Any) -> RuleParts:
        """Declare a job, as Graph.job; what its rule says."""
        job = self.graph.job(name, **declared)
        for artifact in job.artifacts.values():
            is_fresh, mended = artifact.state is State.FRESH, mend(artifact, job, self._is_kept(artifact))
            self.ways.add(artifact.path, artifact.inputs, is_fresh, mended)
        # A parse by a job of this run, on a cluster say, must see what the run decided, and not what is there by now.
        decided = self._decide(job) if self.main else self._decided.get(job.name, NOTHING)
        names = [*decided.work, *decided.carried]
        chosen = names if names and not self.shows else list(job.artifacts)
        output = [file for each in chosen for file in _all_files(job, each)]
        self._beside += [file for each in job.artifacts if each not in chosen for file in _all_files(job, each)]
        inputs = self._all_inputs(job, list(job.artifacts)) if self.shows else decided.inputs
        if names and self.main:
            self._mend_times(job, names, inputs)
        return RuleParts(job, inputs, output, decided.order)

    def _decide(self, job: Job) -> Decision:
        """What is to be made of a job, what is carried, and the order for both.

        Carried are those that are fresh, but stand on something that is to be mended. They lead Snakemake to it. It
        then takes them for changed, and runs their job: that finds them in the store, as they are.
        """
        forced = self._is_forced(job)
        fresh = [name for name, artifact in job.artifacts.items() if artifact.state is State.FRESH and not forced]
        work = [name for name in job.artifacts if name not in fresh]
        carried = [name for name in fresh if self.ways.of(job.artifacts[name].path)]
        if forced:
            self._forced |= {artifact.path for artifact in job.artifacts.values()}
        if not work and not carried:
            return NOTHING
        names = [*work, *carried]
        order = orders.order_of(self.graph, job, names, forced, self.watched)
        file = orders.path_of(self.graph, order)
        if self.runs:
            orders.write(file, order)
            self.keeping.prepare(job, names)
        made = [name for name in work if forced or not self._is_kept(job.artifacts[name])]
        inputs = self._inputs(job, made, [name for name in names if name not in made])
        self._decided[job.name] = Decision(work, carried, str(file.relative_to(self.graph.root)), inputs)
        return self._decided[job.name]

    def _is_forced(self, job: Job) -> bool:
        """Whether the command line wants the job done although it is done, or something that it needs."""
        asked = self.asked
        if getattr(asked, "forceall", False):
            return True
        wanted = set(getattr(asked, "forcerun", None) or ())
        if getattr(asked, "force", False):
            wanted |= set(getattr(asked, "targets", None) or ())
        own = {job.name, job.stage, *(file for artifact in job.artifacts.values() for file in artifact.files)}
        needs = {path for artifact in job.artifacts.values() for path in artifact.inputs}
        return bool(wanted & own) or bool(needs & self._forced)

    def _all_inputs(self, job: Job, names: list[str]) -> list[str]:
        return [*files_of(job.inputs, *(job.each.get(name, {}) for name in names)), *job.reads]

    def _inputs(self, job: Job, made: list[str], others: list[str]) -> list[str]:
        """Of what is made, all inputs; of what is carried or comes back, the ways to be gone; what makes it due."""
        inputs = self._all_inputs(job, made) if made else []
        inputs += [way for name in others for way in self.ways.of(job.artifacts[name].path)]
        is_due = made or any(job.artifacts[name].state is not State.FRESH for name in others)
        return list(dict.fromkeys([*inputs, *([self.future] if is_due else [])]))

    def _mend_times(self, job: Job, names: list[str], inputs: list[str]) -> None:
        """Times that lie: Snakemake takes 0 for none, and refuses outputs that are older than inputs of tomorrow."""
        for file in (file for name in names for file in _all_files(job, name)):
            if not 0 < self._time(file) < FUTURE:
                os.utime(self.graph.root / file, (PAST, PAST))
        if self.runs:
            for file in inputs:
                if file != self.future and self._time(file) > time.time():
                    os.utime(self.graph.root / file)

    def _time(self, file: str) -> float:
        try:
            return (self.graph.root / file).stat().st_mtime
        except FileNotFoundError:
            return PAST

    def finished_beside(self) -> list[str]:
        """Fresh artifacts whose siblings are to be made: no rule's output, yet one may ask for them."""
        return self._beside

    def stage(self, name: str) -> list[str]:
        """All artifacts of a stage."""
        return self.graph.stage(name)

    def declared(self, preflight: todo.Preflight = lambda todo, cores: None) -> None:
        """To be called when all jobs are declared: park what is in the way, hold DVC's plan against the graph.

        preflight: says whether a run can do what it is to do. Raises BadInput where not; a dry run warns.
        """
        if self.main:
            asked.check_targets(self.graph, self.asked)
        if os.environ.get(dump.VARIABLE):
            dump.write(Path(os.environ[dump.VARIABLE]), self.graph, self.keeping.place)
        if self.runs:
            self._check_plan()
        self._check_room(preflight)
        if self.runs:
            write_text(self._decisions, json.dumps([self.future, self._decided]))
            self.keeping.park()

    def _check_room(self, preflight: todo.Preflight) -> None:
        if not (self.runs or self.tries) or any(getattr(self.asked, name, None) for name in todo.NARROWED):
            return
        work = {name: each.work for name, each in self._decided.items()}
        targets = getattr(self.asked, "targets", None) or ()
        found = todo.of_targets(self.graph, targets, work, self.ways, self._comes_back)
        problem = preflight(found, self.cores) if found else None
        if problem is not None and self.runs:
            raise problem
        if problem is not None:
            print(f"warning: a run would be refused: {problem}", file=sys.stderr)

    def _comes_back(self, artifact: Artifact) -> bool:
        return not self._forced and self._is_kept(artifact)

    def _is_kept(self, artifact: Artifact) -> bool:
        return self.main and bool(self.keeping.place(artifact))

    def _check_plan(self) -> None:
        stage = os.environ.get(STAGE_VARIABLE, "")
        keys = self.graph.stage_keys()
        if stage not in keys or not self.keys.exists():
            return
        if json.loads(self.keys.read_bytes()).get(stage) != keys[stage]:
            raise BadInput(self.keys.name, f"a plan of {stage} for other settings, code or inputs",
                           "what it was made for; nothing was recorded: run `dvc repro` again")  # fmt: skip

    def started(self) -> None:
        """To be called by onstart: the plan stands, and no output has to look newer than the future any more."""
        os.utime(self.graph.root / self.future, (PAST, PAST))

    def succeeded(self) -> None:
        """To be called by onsuccess. Raises BadInput where code or settings were edited while the run was under way."""
        changed = [name for name, digest in self.watched.items() if orders.watch(self.graph.root / name) != digest]
        then = self.graph.source
        now = Source(then.root, then.name, tuple(then.ignore), tuple(then.choices))
        if any(now.digest(*step) != then.digest(*step) for step in self.graph.steps()):
            changed.append(f"the code of {self.graph.source.name}")
        if changed:
            raise BadInput(" and ".join(changed), "changes that were made while the run was under way",
                           "nothing changed; what was made belongs to the state before: run it again")  # fmt: skip


def _all_files(job: Job, name: str) -> list[str]:
    artifact = job.artifacts[name]
    return [*artifact.files, stamps.path_of(artifact.path)]


def _command_line() -> Namespace:
    """What the command line asks for; nothing where Snakemake was not started from one."""
    from snakemake.cli import parse_args

    if "snakemake" not in sys.argv[0]:
        return Namespace()
    return parse_args(sys.argv[1:])[1]


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def _remove(path: Path, process: int) -> None:
    if os.getpid() == process:  # not in a fork
        path.unlink(missing_ok=True)

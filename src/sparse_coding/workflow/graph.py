"""Which artifacts there are, what each is made from, and whether what lies on disk is it.

`key(X) = H(step, settings, code, keys of the inputs)`: over the inputs' keys and not their bytes, so what was made
again and differs in its last bit makes nothing stale. Rules declare jobs in the order in which data flows, so the
inputs of a job are always known before it.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.workflow import canonical, stamps
from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.source import Source
from sparse_coding.workflow.stamps import Record, Stamp

Settings = dict[str, Any]
Inputs = Mapping[str, str | list[str]]  # argument of the step: path or paths
MEMBERS = "members"  # the setting that holds one entry for each artifact of a job


class State(Enum):
    """What is on disk where an artifact belongs."""

    FRESH = "fresh"  # it, byte for byte as its step wrote it
    ABSENT = "absent"
    STALE = "stale"  # something that was made from other settings, code or inputs
    FOREIGN = "foreign"  # under its stamp, other bytes than those that its step wrote


@dataclass(frozen=True)
class Leaf:
    """Something from outside the workflow: files on this machine, or a version of something elsewhere.

    name: what it is to the job. root: the folder of the files; it is known by their names below it and their bytes.
    """

    name: str
    files: tuple[str, ...] = ()
    version: str = ""
    root: str = ""


@dataclass(frozen=True)
class Artifact:
    """A file with its companions: what one key stands for."""

    path: str
    files: tuple[str, ...]  # its own path first
    key: str
    record: Record
    inputs: tuple[str, ...]  # paths of artifacts
    state: State
    found: Stamp | None  # the stamp on disk
    problem: str = ""  # why a stamp on disk vouches for nothing

    @property
    def is_foreign(self) -> bool:
        """Whether something lies on disk that no step wrote there: other bytes, or nothing that vouches for them."""
        return self.state is State.FOREIGN or bool(self.problem)


@dataclass(frozen=True)
class Job:
    """One call of a step, which makes one artifact or several of one kind."""

    name: str
    stage: str
    step: str  # the module whose `run` is called
    folder: str  # where the files are, from the root
    settings: Settings
    free: Settings  # settings that change no result: they enter no key
    artifacts: dict[str, Artifact]
    inputs: Inputs  # what every artifact needs
    each: Mapping[str, Inputs]  # what one artifact needs beside that
    leaves: tuple[Leaf, ...]
    reads: tuple[str, ...]  # artifacts that every one needs, and that its settings name
    paths: Mapping[str, str]  # further paths that the step is given, which are no inputs
    local: bool  # stays on this machine: those who need it carry its record
    computes: bool  # its numbers depend on libraries and processor
    apart: bool  # no part of the whole: made for those who ask for it
    chosen: Mapping[str, tuple[str, ...]]  # modules that the step imports by a name in its settings, for each artifact

    def settings_of(self, names: list[str]) -> Settings:
        """The settings, with only these members."""
        if MEMBERS not in self.settings:
            return self.settings
        return {**self.settings, MEMBERS: {name: self.settings[MEMBERS][name] for name in names}}


@dataclass
class Graph:
    """All jobs. `root`: the checkout; paths are from there. `work`: the folder of the store and of what is remembered.

    libraries: packages whose versions are noted in stamps. looks: whether it is asked what lies on disk; where not,
    all artifacts are absent.
    """

    root: Path
    work: Path
    source: Source
    libraries: tuple[str, ...] = ()
    looks: bool = True
    jobs: dict[str, Job] = field(default_factory=dict)
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    maker: dict[str, Job] = field(default_factory=dict)  # of an artifact's path
    owner: dict[str, str] = field(default_factory=dict)  # file: the artifact that it belongs to
    named: dict[str, None] = field(default_factory=dict)  # stages that were asked for: one may have nothing to make
    _leaf_digests: dict[Leaf, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hashes = Hashes(self.root, self.work / "hashes")

    def job(
        self,
        name: str,
        *,
        stage: str,
        step: str,
        folder: str,
        outputs: Mapping[str, list[str]],
        settings: Settings,
        free: Settings | None = None,
        inputs: Inputs | None = None,
        each: Mapping[str, Inputs] | None = None,
        leaves: tuple[Leaf, ...] = (),
        reads: tuple[str, ...] = (),
        paths: Mapping[str, str] | None = None,
        local: bool = False,
        computes: bool = True,
        apart: bool = False,
        chosen: tuple[str, ...] | Mapping[str, tuple[str, ...]] = (),
    ) -> Job:
        """Declare a job. `outputs`: for each artifact its files below `folder`, the first one gives it its name.

        Where `settings` has `members`, they are those of `outputs`, and an artifact's key sees only its own; as it does
        of `chosen` where that is a mapping.
        """
        if name in self.jobs:
            raise BadInput(name, "two jobs of this name", "one: what the second makes would take the first one's place")
        choices = chosen if isinstance(chosen, Mapping) else dict.fromkeys(outputs, chosen)
        job = Job(
            name, stage, step, folder, settings, free or {}, {}, inputs or {}, each or {}, leaves, reads, paths or {},
            local, computes, apart, choices,
        )  # fmt: skip
        self.jobs[name] = job
        for output, files in outputs.items():
            artifact = self._artifact(job, output, tuple(f"{folder}/{file}" for file in files))
            job.artifacts[output] = artifact
            self.artifacts[artifact.path], self.maker[artifact.path] = artifact, job
            self.owner |= dict.fromkeys([*artifact.files, stamps.path_of(artifact.path)], artifact.path)
        return job

    def _artifact(self, job: Job, output: str, files: tuple[str, ...]) -> Artifact:
        if files[0] in self.artifacts:
            raise BadInput(job.name, f"{files[0]}, which {self.maker[files[0]].name} makes", "each file made once")
        given = files_of(job.inputs, job.each.get(output, {}))
        inputs = tuple(dict.fromkeys(self.owner[path] for path in (*given, *job.reads)))
        record: Record = {
            "step": job.step,
            "makes": files[0],
            "settings": job.settings_of([output]),
            "source": self.source.digest(job.step, job.chosen[output]),
            "inputs": {path: self.artifacts[path].key for path in inputs}
            | {leaf.name: self.leaf_digest(leaf) for leaf in job.leaves},
        }
        key = canonical.digest(record)
        state, found, problem = self._look(files, key) if self.looks else (State.ABSENT, None, "")
        if self.looks and state is not State.FRESH:
            self._refuse_folders(*files, stamps.path_of(files[0]))
        return Artifact(files[0], files, key, record, inputs, state, found, problem)

    def _refuse_folders(self, *files: str) -> None:
        """Raise BadInput for a folder in the place of a file: nothing can be written there, and it may be of worth."""
        for file in files:
            if (self.root / file).is_dir():
                raise BadInput(file, "a folder", "room for the file, which a step is to write there")

    def leaf_digest(self, leaf: Leaf) -> str:
        """What a leaf is: a digest of names and bytes, or its version."""
        if leaf not in self._leaf_digests:
            self._leaf_digests[leaf] = digest_of(leaf, self.hashes)
        return self._leaf_digests[leaf]

    def _look(self, files: tuple[str, ...], key: str) -> tuple[State, Stamp | None, str]:
        try:
            stamp = stamps.read(self.root / stamps.path_of(files[0]))
        except BadInput as error:
            return State.STALE, None, str(error)
        if stamp is None:
            there = (self.root / files[0]).exists()
            return (State.STALE, None, "it has no stamp") if there else (State.ABSENT, None, "")
        if not stamp.is_whole:
            return State.STALE, None, "its stamp was edited"
        if not (self.root / files[0]).exists():
            return State.ABSENT, stamp, ""
        if stamp.key != key:
            return State.STALE, stamp, ""
        found = self.hashes.of(files[0], files)
        wrong = [file for file in files if found[file] is None or found[file] != stamp.files.get(file)]
        return (State.FOREIGN, stamp, f"{wrong[0]} was changed") if wrong else (State.FRESH, stamp, "")

    def steps(self) -> list[tuple[str, tuple[str, ...]]]:
        """All steps, each once with what is chosen: what `Source.digest` takes."""
        return list(dict.fromkeys((job.step, chosen) for job in self.jobs.values() for chosen in job.chosen.values()))

    def stage(self, name: str) -> list[str]:
        """The paths of all artifacts of a stage. From then on it is one, also where it has none."""
        self.named[name] = None
        return [artifact.path for job in self.jobs.values() if job.stage == name for artifact in job.artifacts.values()]

    def stage_keys(self) -> dict[str, str]:
        """One digest for each stage: it changes when any of its artifacts has to."""
        stages = dict.fromkeys(job.stage for job in self.jobs.values()) | self.named
        return {
            stage: canonical.digest({path: self.artifacts[path].key for path in self.stage(stage)}) for stage in stages
        }

    def local_records(self, artifact: Artifact) -> dict[str, Record]:
        """The records of those inputs, and of theirs, that stay on this machine, by key."""
        found: dict[str, Record] = {}
        for path in artifact.inputs:
            if self.maker[path].local:
                found[self.artifacts[path].key] = self.artifacts[path].record
                found |= self.local_records(self.artifacts[path])
        return found


def digest_of(leaf: Leaf, hashes: Hashes) -> str:
    """What a leaf is, read now: where its root lies does not count."""
    found = hashes.of(f"leaf {leaf.name} {leaf.root}", leaf.files)
    return canonical.digest([{os.path.relpath(file, leaf.root): sha for file, sha in found.items()}, leaf.version])


def files_of(*inputs: Inputs) -> list[str]:
    """All paths of some inputs, each once."""
    paths: dict[str, None] = {}
    for some in inputs:
        for value in some.values():
            paths |= dict.fromkeys([value] if isinstance(value, str) else value)
    return list(paths)

"""What is kept of artifacts that are not in their place, and what is put away there before a run."""

from contextlib import suppress
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.workflow import stamps
from sparse_coding.workflow.graph import Artifact, Graph, Job, State
from sparse_coding.workflow.mending import is_put_away
from sparse_coding.workflow.store import Store
from sparse_coding.workflow.versioned import Versioned

STORE, DVC = "the store", "DVC's cache"


class Keeping:
    """The store and DVC's cache, beside the artifacts of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.store = Store(graph.root, graph.work / "store", graph.hashes)
        self.versioned = Versioned(graph.root, graph.hashes)
        self._places: dict[str, str] = {}  # by key
        self._parked: list[tuple[str, bool]] = []  # artifact, and whether it stays where it is too

    def place(self, artifact: Artifact) -> str:
        """Where the wanted version of an artifact lies, whole, that is not where it belongs; empty where nowhere."""
        if artifact.state is State.FRESH:
            return ""
        if artifact.key not in self._places:
            self._places[artifact.key] = self._find(artifact)
        return self._places[artifact.key]

    def _find(self, artifact: Artifact) -> str:
        if self.store.holds(artifact.key) is not None:
            return STORE
        return DVC if self.versioned.holds(artifact.path, artifact.key) is not None else ""

    def prepare(self, job: Job, names: list[str]) -> None:
        """Before a run: note what it is to replace, and bring what DVC has into the store, where steps find it."""
        for artifact in (job.artifacts[name] for name in names):
            if is_put_away(artifact, job):
                self._parked.append((artifact.path, False))
            elif artifact.found is not None and artifact.found.is_whole and not artifact.is_foreign:
                self._parked.append((artifact.path, True))
            if self.place(artifact) == DVC:
                self._fetch(artifact)

    def _fetch(self, artifact: Artifact) -> None:
        stamp, folder = self.versioned.holds(artifact.path, artifact.key), self.graph.work / "versioned"
        if stamp is not None:
            self.versioned.copy(stamp, folder)
            self.store.keep(stamp, folder)

    def park(self) -> None:
        """Put into the store what was noted, and what params.yaml no longer asks for."""
        for path, leave in self._parked:
            self._park_one(path, leave)
        tops = dict.fromkeys(Path(job.folder).parts[0] for job in self.graph.jobs.values() if not job.paths)
        for top in tops:
            for stamp in sorted((self.graph.root / top).rglob("*.stamp")):
                artifact = stamp.relative_to(self.graph.root).as_posix().removesuffix(".stamp")
                if artifact not in self.graph.artifacts:
                    self._park_one(artifact, leave=False)

    def _park_one(self, artifact: str, leave: bool) -> None:
        """What could not come back is left."""
        try:
            stamp = stamps.read(self.graph.root / stamps.path_of(artifact))
        except BadInput:
            return
        if stamp is None or not stamp.is_whole or stamp.artifact != artifact:
            return
        if not any((self.graph.root / file).is_dir() for file in stamp.files):
            with suppress(FileNotFoundError):
                self.store.park(stamp, leave)

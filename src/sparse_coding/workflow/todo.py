"""What a run is really to make, before it begins: of what was asked for, and upstream of it, what is not fresh."""

from collections.abc import Callable, Collection, Iterable, Mapping

from sparse_coding.errors import BadInput
from sparse_coding.workflow.graph import Artifact, Graph
from sparse_coding.workflow.mending import Ways

Todo = dict[str, list[str]]  # job: names of its artifacts
# What is in the way of a run, if anything is: told what is to be made, and on how many cores.
Preflight = Callable[[Todo, int], BadInput | None]
NARROWED = ("until", "omit_from", "batch", "allowed_rules")  # options that leave out a part which only Snakemake knows


def of_targets(
    graph: Graph,
    targets: Iterable[str],
    work: Mapping[str, Collection[str]],
    ways: Ways,
    is_kept: Callable[[Artifact], bool],
) -> Todo:
    """The artifacts to be made. work: those of each job that are not fresh, or forced; ways: upstream of the others.

    targets: files, jobs, stages; of any other name, and of none, the whole. An artifact that comes back from where it
    is kept takes nothing, and nothing is made for it.
    """
    found: Todo = {}
    waiting, seen = _artifacts(graph, list(targets)), set[str]()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        job, artifact = graph.maker[path], graph.artifacts[path]
        name = next(name for name, each in job.artifacts.items() if each is artifact)
        if name not in work.get(job.name, ()) or is_kept(artifact):
            waiting += ways.of(path)
            continue
        found.setdefault(job.name, []).append(name)
        waiting += artifact.inputs
    return found


def _artifacts(graph: Graph, targets: list[str]) -> list[str]:
    found: list[str] = []
    for target in targets:
        of_job = [artifact.path for artifact in graph.jobs[target].artifacts.values()] if target in graph.jobs else []
        own = [graph.owner[target]] if target in graph.owner else of_job or graph.stage(target)
        if not own:
            return whole(graph)
        found += own
    return found or whole(graph)


def whole(graph: Graph) -> list[str]:
    """What nothing else is made from, without what is made only for those who ask for it."""
    needed = {path for artifact in graph.artifacts.values() for path in artifact.inputs}
    return [path for path in graph.artifacts if path not in needed and not graph.maker[path].apart]

"""Names that people type: files and targets that the workflow does not know are refused with the nearest it has."""

import os
from argparse import Namespace
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.workflow import stamps
from sparse_coding.workflow.graph import Graph

ALL = "all"
OPTIONS = ("targets", "forcerun", "until", "omit_from")  # of Snakemake's, that name files and rules
SHOWN = 12


def nearest(word: str, known: Iterable[str]) -> str:
    """The name in `known` that is most like `word`; empty where none is like it."""
    return next(iter(get_close_matches(word, list(known), n=1)), "")


def check_targets(graph: Graph, asked: Namespace) -> None:
    """Raise BadInput for a target that neither the workflow makes nor anyone else made, saying what there is."""
    stages = list(dict.fromkeys(job.stage for job in graph.jobs.values()) | graph.named)
    known = {ALL, *stages, *graph.jobs, *graph.owner}
    for option in OPTIONS:
        for target in map(os.path.normpath, getattr(asked, option, None) or ()):
            if target not in known and not _is_from_outside(graph.root, target):
                raise BadInput("target", repr(target), _what_there_is(graph, target, known, stages))


def _is_from_outside(root: Path, target: str) -> bool:
    """Whether it is a file of the user's own: what a step made, and params.yaml does not ask for, is none."""
    path = root / target
    return path.is_file() and not (root / stamps.path_of(target)).exists()


def _what_there_is(graph: Graph, target: str, known: Collection[str], stages: list[str]) -> str:
    needed = {path for artifact in graph.artifacts.values() for path in artifact.inputs}
    ends = [path for path in graph.artifacts if path not in needed]
    more = f" and {len(ends) - SHOWN} more" if len(ends) > SHOWN else ""
    name = Path(target).name
    near = name if name in stages else nearest(target, known)  # results/plots: the stage of that name
    first = f"{near} (the nearest), or " if near else ""
    return f"{first}one of {', '.join(ends[:SHOWN])}{more}; or a stage: {', '.join([ALL, *stages])}"


def check_file(root: Path, file: str, artifacts: Mapping[str, Any]) -> None:
    """Raise BadInput for a file that is not there. artifacts: those of the graph, by path."""
    path = file.removeprefix("./").removesuffix(".stamp")
    if (root / path).is_file() or (root / stamps.path_of(path)).is_file():
        return
    if (root / path).is_dir():
        raise BadInput(file, "a folder", "a file that a step wrote")
    files = [name for artifact in artifacts.values() for name in artifact["files"]]
    if path in files:
        raise BadInput(file, "no such file", f"it to be made, or pulled: `snakemake --cores all {path}`")
    near = nearest(path, files)
    raise BadInput(file, "no such file", f"{near} (the nearest)" if near else "a file below results that a step wrote")

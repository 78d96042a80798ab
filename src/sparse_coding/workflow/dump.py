"""The graph as JSON, for those who ask about it without running it: written and read."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sparse_coding.errors import BadInput
from sparse_coding.workflow.graph import Artifact, Graph
from sparse_coding.workflow.mending import is_put_away, mend

Dump = dict[str, Any]
VARIABLE = "WORKFLOW_GRAPH"  # names the file that a Snakefile writes its graph to


def write(path: Path, graph: Graph, kept: Callable[[Artifact], str]) -> None:
    """Write what is wanted and what is on disk. kept: where else the wanted version of an artifact lies, if it does."""
    jobs = {
        job.name: {
            "stage": job.stage,
            "step": job.step,
            "local": job.local,
            "apart": job.apart,
            "artifacts": [artifact.path for artifact in job.artifacts.values()],
        }
        for job in graph.jobs.values()
    }
    artifacts = {
        path: {
            "job": graph.maker[path].name,
            "key": artifact.key,
            "record": artifact.record,
            "state": artifact.state.value,
            "problem": artifact.problem,
            "files": artifact.files,
            "inputs": artifact.inputs,
            "kept": kept(artifact),
            "mended": mend(artifact, graph.maker[path], bool(kept(artifact))).value,
            "put_away": is_put_away(artifact, graph.maker[path]),
        }
        for path, artifact in graph.artifacts.items()
    }
    dump = {
        "work": str(graph.work),
        "stages": graph.stage_keys(),
        "jobs": jobs,
        "artifacts": artifacts,
        "leaves": {name: list(dict.fromkeys(files)) for name, files in _leaves(graph).items()},
        "outside": {
            job.name: {leaf.name: [leaf.files, leaf.version] for leaf in job.leaves} for job in graph.jobs.values()
        },
        "sources": {graph.source.digest(*step): graph.source.files(*step) for step in graph.steps()},
    }
    path.write_text(json.dumps(dump), encoding="utf-8")


def _leaves(graph: Graph) -> dict[str, list[str]]:
    """The files of all leaves of a name: those of two jobs may be in two places."""
    found: dict[str, list[str]] = {}
    for leaf in dict.fromkeys(leaf for job in graph.jobs.values() for leaf in job.leaves):
        found.setdefault(leaf.name, []).extend(leaf.files)
    return found


def of_checkout(root: Path) -> Dump:
    """The graph of the Snakefile in `root`.

    Raises BadInput where there is none, and with Snakemake's message where it cannot be read.
    """
    if not (root / "Snakefile").is_file():
        raise BadInput(
            root, "no Snakefile", "the root of a checkout, where params.yaml and Snakefile lie: run it there"
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.json"
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", "--cores", "1", "--list-rules"],
            cwd=root,
            env=os.environ | {VARIABLE: str(path)},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if not path.exists():
            raise _refusal(root, done.stdout)
        return json.loads(path.read_bytes())


def _refusal(root: Path, said: str) -> BadInput:
    """What stopped Snakemake: the Snakefile's own message where there is one, else the end of what was said."""
    message = re.search(r"^(.+?): found (.+); wanted (.+)$", said, re.MULTILINE)
    if message:
        return BadInput(*message.groups())
    lines = [line for line in said.splitlines() if line.strip()]
    return BadInput(root / "Snakefile", " / ".join(lines[-5:]) or "nothing", "a Snakefile that can be read")

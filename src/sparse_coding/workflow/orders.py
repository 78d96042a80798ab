"""An order: all that one call of a step is to make, in a JSON file.

The file is named by its content, so no later parse of the Snakefile changes an order that is being carried out.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from sparse_coding.atomic import write_text
from sparse_coding.workflow import canonical
from sparse_coding.workflow.graph import Graph, Job

Order = dict[str, Any]


def order_of(graph: Graph, job: Job, names: list[str], forced: bool, watched: Mapping[str, str]) -> Order:
    """The order to make the artifacts `names` of a job. forced: also those that are finished already."""
    artifacts = [job.artifacts[name] for name in names]
    inputs = dict.fromkeys(path for artifact in artifacts for path in artifact.inputs)
    return {
        "job": job.name,
        "step": job.step,
        "stage": job.stage,
        "package": {
            "name": graph.source.name,
            "ignore": sorted(graph.source.ignore),
            "choices": sorted(graph.source.choices),
        },
        "chosen": {name: job.chosen[name] for name in names},
        "work": str(graph.work.relative_to(graph.root)),
        "folder": job.folder,
        "settings": job.settings_of(names),
        "free": job.free,
        "artifacts": {
            name: {"key": artifact.key, "record": artifact.record, "files": artifact.files}
            for name, artifact in zip(names, artifacts, strict=True)
        },
        "inputs": {path: graph.artifacts[path].key for path in inputs},
        "arguments": dict(job.inputs),
        "each": {name: dict(job.each[name]) for name in names if name in job.each},
        "paths": dict(job.paths),
        "leaves": {leaf.name: [asdict(leaf), graph.leaf_digest(leaf)] for leaf in job.leaves},
        "upstream": {key: record for artifact in artifacts for key, record in graph.local_records(artifact).items()},
        "libraries": graph.libraries if job.computes else None,
        "forced": forced,
        "watched": dict(watched),
    }


def path_of(graph: Graph, order: Order) -> Path:
    """The file of an order."""
    return graph.work / "orders" / f"{order['job']}-{canonical.digest(order)[:12]}.json"


def write(path: Path, order: Order) -> None:
    """Write an order whole, unless it is there."""
    if not path.exists():
        write_text(path, json.dumps(order, indent=1) + "\n")


def watch(path: Path) -> str:
    """A digest of a YAML file: of what stands there but comments and layout; empty where it is missing or not YAML.

    No scalar is read as a number, a date or the like: whoever reads the settings may well read it otherwise.
    """
    try:
        events = yaml.parse(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
        return canonical.digest([[type(event).__name__, *map(str, _said(event))] for event in events])
    except (FileNotFoundError, yaml.YAMLError, ValueError):
        return ""


def _said(event: yaml.Event) -> list[Any]:
    """What an event of YAML says beside its place. Quotes count: they may make text of a number."""
    return [getattr(event, name, None) for name in ("anchor", "tag", "value", "implicit")]

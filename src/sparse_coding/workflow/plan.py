"""The plan that DVC reads: one key for each stage, in keys.json.

DVC compares the keys with those of its last run, and asks Snakemake for the stages whose key changed. It notes what
the plan depends on when the plan is made: a change meanwhile would be noted as if the plan had seen it.
"""

import json
import os
from pathlib import Path

import yaml

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.workflow import dump

KEYS = "keys.json"


def make(root: Path) -> None:
    """Write the plan of the checkout `root`.

    Raises BadInput where DVC would not see a file change that the workflow reads, or would take one for seen.
    """
    deps = _deps(root / "dvc.yaml")
    before = _signatures(root, deps)
    graph = dump.of_checkout(root)
    _check_leaves(graph, deps)
    write_text(root / KEYS, json.dumps(graph["stages"], indent=1, sort_keys=True) + "\n")
    now = _signatures(root, deps)
    changed = [file for file in before | now if before.get(file) != now.get(file)]
    if changed:
        raise BadInput(min(changed), "a change that was made while the plan was", "none; run the same command again")


def _deps(path: Path) -> list[str] | None:
    """What the stage `plan` of dvc.yaml depends on; None where there is no such file."""
    if not path.exists():
        return None
    return yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]["plan"]["deps"]


def _signatures(root: Path, deps: list[str] | None) -> dict[str, tuple[int, int]]:
    """{file: size and time of change} of all that DVC holds the plan against."""
    found = [file for dep in deps or () for file in [root / dep, *(root / dep).rglob("*")]]
    files = [file for file in found if "__pycache__" not in file.parts and file.is_file()]
    return {os.path.relpath(file, root): (file.stat().st_size, file.stat().st_ctime_ns) for file in files}


def _check_leaves(graph: dump.Dump, deps: list[str] | None) -> None:
    """Every leaf must lie in what the plan depends on."""
    if deps is None:
        return
    for name, files in graph["leaves"].items():
        for file in files:
            if not any(Path(file).is_relative_to(dep) for dep in deps):
                found = f"no path in which {file} lies ({name})"
                line = f"a line `- {Path(file).parent.as_posix()}` there; else DVC would not see it change"
                raise BadInput("dvc.yaml: stages: plan: deps", found, line)

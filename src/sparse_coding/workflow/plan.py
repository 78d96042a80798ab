"""The plan that DVC reads: one key for each stage, in keys.json.

DVC compares the keys with those of its last run, and asks Snakemake for the stages whose key changed.
"""

import json
from pathlib import Path

import yaml

from sparse_coding.atomic import write_text
from sparse_coding.errors import BadInput
from sparse_coding.workflow.dump import Dump

KEYS = "keys.json"


def make(dump: Dump, root: Path) -> None:
    """Write the plan. Raises BadInput where DVC would not see a file change that the workflow reads."""
    _check_deps(dump, root / "dvc.yaml")
    write_text(root / KEYS, json.dumps(dump["stages"], indent=1, sort_keys=True) + "\n")


def _check_deps(dump: Dump, path: Path) -> None:
    """Every leaf must lie in what the stage `plan` of dvc.yaml depends on."""
    if not path.exists():
        return
    deps = yaml.safe_load(path.read_text(encoding="utf-8"))["stages"]["plan"]["deps"]
    for name, files in dump["leaves"].items():
        for file in files:
            if not any(Path(file).is_relative_to(dep) for dep in deps):
                found = f"no path in which {file} lies ({name})"
                line = f"a line `- {Path(file).parent.as_posix()}` there; else DVC would not see it change"
                raise BadInput(f"{path.name}: stages: plan: deps", found, line)

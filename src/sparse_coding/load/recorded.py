"""Whether what a commit asks for is what its results were recorded with, by its dvc.lock."""

import hashlib
import json
import sys
from pathlib import PurePosixPath
from typing import Any

import yaml

from sparse_coding.errors import BadInput
from sparse_coding.load.repository import Repository

LOCK, KEYS = "dvc.lock", "keys.json"
SETTINGS = ("params.yaml", "hub.lock.json")  # what the plan, DVC's first stage, reads beside code and models


def check(there: Repository, results: str, row: dict[str, Any]) -> None:
    """Hold the stages that made a row, and its dictionary, against the settings of their commit.

    Nothing is done where the commit has no plan of ours. Where only keys are others, by code or models, a line on
    stderr says so. Raises BadInput where results were recorded with other settings than the commit has.
    """
    stages = (_read(there, LOCK) or {}).get("stages") or {}
    plan = {each["path"]: each.get("md5") for each in stages.get("plan", {}).get("deps", [])}
    for name in SETTINGS:
        if plan.get(name) and there.bring(name):
            found = hashlib.md5((there.folder / name).read_bytes(), usedforsecurity=False).hexdigest()
            if found != plan[name]:
                wanted = "a commit with its results, as `dvc repro` leaves it, or stale=True"
                raise BadInput(f"{there.name}: {name}", "other settings than those its results were made with", wanted)
    keys = _read(there, KEYS) or {}
    for stage in (PurePosixPath(row["path"]).parts[1], "evaluation"):
        recorded = stages.get(stage, {}).get("params", {}).get(KEYS, {}).get(stage)
        if recorded is not None and recorded != keys.get(stage):
            print(f"{there.name}: {results}/{stage} was made by earlier code or of another model", file=sys.stderr)


def _read(there: Repository, name: str) -> dict[str, Any] | None:
    """A YAML or JSON file of the commit; None where there is none."""
    if not there.bring(name):
        return None
    text = (there.folder / name).read_text(encoding="utf-8")
    try:
        found = json.loads(text) if name.endswith(".json") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise BadInput(f"{there.name}: {name}", f"a damaged file ({' '.join(str(error).split())[:200]})", "a commit "
                       "with a whole one, or stale=True") from error  # fmt: skip
    return found if isinstance(found, dict) else None

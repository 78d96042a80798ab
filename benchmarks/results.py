"""benchmarks/results.json: a section for each kind of measurement, each written by its own program.

A section is a list of rows {what, value, unit, least, most, note} of which the last three may be missing, or a dict
with `rows`, `notes` (a list of lines) and `machine`; "training" and "quality" have forms of their own.
"""

import json
import os
from importlib import metadata
from pathlib import Path
from typing import Any

from sparse_coding import atomic
from sparse_coding.workflow.stamps import environment

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results.json"


def load(path: Path = RESULTS) -> dict[str, Any]:
    """All sections that there are."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def merge(section: str, value: Any, path: Path = RESULTS) -> None:
    """Put one section in the place of what it was, and keep the others."""
    results = load(path) | {section: value}
    atomic.write_text(path, json.dumps(dict(sorted(results.items())), indent=1) + "\n")


def machine(libraries: tuple[str, ...]) -> dict[str, Any]:
    """The processor, the number of its cores, and versions; of `libraries` those that are installed."""
    installed = []
    for name in libraries:
        try:
            metadata.version(name)
            installed.append(name)
        except metadata.PackageNotFoundError:
            continue
    return {**environment(tuple(installed)), "cores": os.cpu_count()}

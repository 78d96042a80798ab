"""Results as lines of JSON: one is added whole when it is there, so a run that was killed goes on behind it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.results import ROOT

FILE = ROOT / "benchmarks" / "quality" / "results.jsonl"
Line = dict[str, Any]


def read(file: Path = FILE) -> list[Line]:
    """All lines; one that a kill cut short is not counted."""
    if not file.exists():
        return []
    found = []
    for text in file.read_text(encoding="utf-8").splitlines():
        try:
            found.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return found


def add(line: Mapping[str, Any], file: Path = FILE) -> None:
    """At the end, by one write; after what was cut short a new line is begun."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab+") as end:
        if end.tell():
            end.seek(-1, os.SEEK_END)
            if end.read(1) != b"\n":
                end.write(b"\n")
        end.write((json.dumps(line) + "\n").encode())

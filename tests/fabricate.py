"""A finished project in no time: every artifact that params ask for, fresh by its stamp, with made-up content."""

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

from sparse_coding.workflow import stamps
from sparse_coding.workflow.dump import Dump, of_checkout
from sparse_coding.workflow.stamps import Stamp


def finish(folder: Path, size: int = 0) -> Dump:
    """Write every artifact of the project in `folder`, each file of `size` bytes and its own name; the graph."""
    dump = of_checkout(folder)
    local = {
        artifact["key"]: artifact["record"] for path, artifact in dump["artifacts"].items() if _is_local(dump, path)
    }
    for path, artifact in dump["artifacts"].items():
        for file in artifact["files"]:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_bytes(file.encode().ljust(size, b"."))
        files = {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in artifact["files"]}
        source = dump["sources"][artifact["record"]["source"]]
        environment = {"cpu": "made up"}
        stamp = Stamp(artifact["key"], artifact["record"], files, source, local, [environment])
        stamps.write(folder / stamps.path_of(path), stamp)
    return dump


def _is_local(dump: Dump, path: str) -> bool:
    return dump["jobs"][dump["artifacts"][path]["job"]]["local"]


def timed(folder: Path, *command: str, **environment: str) -> tuple[float, str]:
    """Wall seconds and output of a command in `folder`; the installed programs stand first on its path."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"PATH": path} | environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - began
    assert done.returncode == 0, done.stdout + done.stderr
    return seconds, done.stdout + done.stderr

"""How long it takes to find out that nothing is to be done: `python -m benchmarks.freshness`.

Projects are finished by tests/fabricate.py: every artifact is there with a true stamp and made-up content, so the
times are those of looking, not of making. Writes benchmarks/freshness.md.
"""

import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tests.fabricate import finish, timed
from tests.workspace import ROOT

from sparse_coding.workflow.hashes import Hashes
from sparse_coding.workflow.stamps import environment

RUNS = 5
COPIED = ("rules", "profiles", "models", "src", ".dvc")
FILES = ("Snakefile", "hub.lock.json", "dvc.yaml", ".dvcignore", ".gitignore")
LARGE: dict[str, Any] = {  # 504 dictionaries
    "l1": [round(1e-4 * 1.3**step, 8) for step in range(18)],
    "k": [4, 8, 16, 32, 64, 128],
    "ratios": [0.5, 1, 2, 4, 8, 16],
    "only": [],
}


def project(folder: Path, grid: dict[str, Any]) -> Path:
    """A finished project with the default's params, but for `grid`, under git and DVC."""
    folder.mkdir()
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("cache", "tmp", "__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, folder / name)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["grid"] |= grid
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    for command in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    finish(folder)
    return folder


def row(what: str, measure: Callable[[], float]) -> str:
    """A line of the table: minimum, median and maximum of several runs, in seconds."""
    seconds = sorted(measure() for _ in range(RUNS))
    print(what, *(f"{each:.2f}" for each in seconds), file=sys.stderr)
    return f"| {what} | {seconds[0]:.2f} | {statistics.median(seconds):.2f} | {seconds[-1]:.2f} |"


def cold(folder: Path) -> float:
    """A dry run that remembers no hash."""
    shutil.rmtree(folder / ".work" / "hashes", ignore_errors=True)
    return timed(folder, "snakemake", "-n", "--cores", "2")[0]


def hashing(folder: Path, megabytes: int) -> float:
    """Seconds to hash one real file, unremembered."""
    path = folder / "one.gib"
    if not path.exists():
        with path.open("wb") as file:
            for _ in range(megabytes):
                file.write(bytes(range(256)) * 4096)
    began = time.perf_counter()
    Hashes(folder, folder / "nowhere" / str(time.time_ns())).of("one", ["one.gib"])
    return time.perf_counter() - began


def main() -> None:
    """Measure, and write the table."""
    with tempfile.TemporaryDirectory() as scratch:
        large, default = project(Path(scratch) / "large", LARGE), project(Path(scratch) / "default", {})
        timed(default, "dvc", "repro")
        rows = [
            row("`snakemake --version`", lambda: timed(default, "snakemake", "--version")[0]),
            row("`snakemake -n`, default", lambda: timed(default, "snakemake", "-n", "--cores", "2")[0]),
            row("`snakemake -n`, 504 dictionaries", lambda: timed(large, "snakemake", "-n", "--cores", "2")[0]),
            row("the same, no hash remembered (small files)", lambda: cold(large)),
            row("`dvc repro`, default, nothing to do", lambda: timed(default, "dvc", "repro")[0]),
            row("`dvc status`, default", lambda: timed(default, "dvc", "status")[0]),
            row("`sparse_coding why all`, 504 dictionaries", lambda: timed(large, "sparse_coding", "why", "all")[0]),
            row("SHA-256 of a file of 1 GiB", lambda: hashing(Path(scratch), 1024)),
        ]
    machine = environment(("snakemake", "dvc"))
    text = f"""# How long it takes to find out that nothing is to be done

Written by `make bench`; {RUNS} runs each, wall seconds. {platform.system()}, {machine["cpu"]},
Python {machine["python"]}, Snakemake {machine["snakemake"]}, DVC {machine["dvc"]}.
Every artifact is in place, with made-up content.

| what | least | median | most |
|---|---|---|---|
{chr(10).join(rows)}

A file is hashed once and then remembered for as long as its size, times and inode stay: the last line is what each GiB
of activations costs once, after it was copied or its times were changed.
"""
    (ROOT / "benchmarks" / "freshness.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()

"""How long `make plot` takes, without the installation: `python -m benchmarks.plot`.

Runs the default in a copy of the checkout, with the environment of this Python, on two cores. Prints and writes into
benchmarks/results.json the wall time of the whole, and for each stage the seconds and processor seconds of its jobs.
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks import results

CORES, TARGET = 2, "results/plots/layer2_residual.png"
LEFT_OUT = ("vendored/", "tests/", "docs/", "benchmarks/")  # what no step reads


def copied(folder: Path) -> Path:
    """A fresh copy of all that git would keep, with local changes and without results."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=results.ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    for name in listed.split("\0"):
        source = results.ROOT / name
        if name and not name.startswith(LEFT_OUT) and source.is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    return folder


def make(folder: Path) -> float:
    """Wall seconds of the run. Raises CalledProcessError where it fails."""
    command = [str(Path(sys.executable).with_name("snakemake")), "--cores", str(CORES), TARGET]
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, env={**os.environ, "PYTHONPATH": str(folder / "src")})
    return time.perf_counter() - began


def jobs(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """For each stage its jobs that are measured: wall seconds and processor seconds, as Snakemake counts them."""
    found = defaultdict(list)
    for path in sorted((folder / "results" / "logs").glob("*.benchmark.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            (row,) = csv.DictReader(file, delimiter="\t")
        found[path.name.split("_")[0]].append((float(row["s"]), float(row["cpu_time"])))
    return dict(found)


def rows_of(wall: float, stages: dict[str, list[tuple[float, float]]]) -> list[dict[str, Any]]:
    """Rows for benchmarks/results.json."""
    busy = sum(seconds for each in stages.values() for seconds, _ in each)
    used = sum(cpu for each in stages.values() for _, cpu in each)
    note = f"{CORES} cores; jobs ran {busy:.0f} s together and used {used:.0f} s of processor time"
    rows: list[dict[str, Any]] = [
        {"what": "make plot, the default: all", "value": round(wall, 1), "unit": "s", "note": note}
    ]
    for stage, each in sorted(stages.items()):
        note = f"{len(each)} jobs, {sum(cpu for _, cpu in each):.0f} s of processor time"
        seconds = round(sum(seconds for seconds, _ in each), 1)
        rows.append({"what": f"make plot: jobs of {stage}", "value": seconds, "unit": "s", "note": note})
    return rows


def main() -> None:
    """Measure, print, and write the rows."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = copied(Path(scratch))
        rows = rows_of(make(folder), jobs(folder))
    for row in rows:
        print(f"{row['what']:32} {row['value']:7.1f} {row['unit']}  {row['note']}")
    results.merge("plot", rows)


if __name__ == "__main__":
    main()

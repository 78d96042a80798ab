"""How near `sparse_coding forecast` comes: `python -m benchmarks.scale [tiny default large supertiny toy]`.

Forecasts a run, makes it in a folder of its own, watches its jobs, and writes both beside each other into
benchmarks/results.json: disk, most memory of a job and processor time, by stage and in sum. On two cores.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import yaml

from benchmarks import results
from benchmarks.watching import Taken, watched
from sparse_coding.forecast.counting import disk, memory
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.settings import jobs, params_file

CORES = 2
LIBRARIES = ("torch", "numpy", "numba", "transformers")
LARGE: dict[str, Any] = {  # the shape of Pythia-70M with random weights, few tokens
    "grid": {
        "sites": ["layer2_residual"],
        "architectures": ["tied", "topk"],
        "ratios": [1, 8],
        "l1": [0.0005, 0.002],
        "k": [32],
        "only": [
            {"sites": ["layer2_residual"], "architectures": ["tied"]},
            {"sites": ["layer2_residual"], "architectures": ["topk"], "ratios": [8]},
        ],
    },
    "model": {"name": "models/pythia-70m-shaped"},
    "dataset": {"corpus": "pydocs", "train_tokens": 300000, "held_out_tokens": 32000, "fragments": 2000},
    "dictionaries": {"steps": 200, "batch": 1024},
    "baselines": {"topk": [8, 32], "ica_rows": 20000, "ica_iterations": 20},
    "evaluation": {"splice_blocks": 8, "gain_refit_rows": 20000},
    "autointerp": {
        "members": {"l1": 0.002, "k": 32},
        "features": 60,
        "random_weights": {"ratio": 8, "l1": 0.002},
    },
}
SIZES: dict[str, str | dict[str, Any]] = {
    "tiny": "presets/tiny.yaml",
    "default": "params.yaml",
    "large": LARGE,
    "supertiny": "presets/supertiny.yaml",
    "toy": "params.yaml",
}
TARGETS = {"toy": ["results/plots/toy.png"]}


def project(folder: Path, params: str | dict[str, Any]) -> Path:
    """A folder with the workflow, the default model, and these params."""
    for name in ("rules", "profiles", "prompts", "models"):
        shutil.copytree(results.ROOT / name, folder / name)
    for name in ("Snakefile", "hub.lock.json"):
        shutil.copy(results.ROOT / name, folder / name)
    if isinstance(params, str):
        shutil.copy(results.ROOT / params, folder / "params.yaml")
    else:
        (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        large_model(folder / params["model"]["name"])
    return folder


def large_model(folder: Path) -> None:
    """Random weights of the shape of Pythia-70M, with the tokenizer of the default model."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

    config = GPTNeoXConfig(
        hidden_size=512, num_hidden_layers=6, num_attention_heads=8, intermediate_size=2048, vocab_size=50304,
        bos_token_id=0, eos_token_id=0, use_cache=False,
    )  # fmt: skip
    GPTNeoXForCausalLM(config).save_pretrained(folder)
    for file in (results.ROOT / "models" / "pydocs-6l").glob("tokenizer*"):
        shutil.copy(file, folder)


def forecast(folder: Path, probe: bool = True) -> dict[str, dict[str, float]]:
    """For each stage disk, most memory of a job, seconds; of the run that the params of `folder` ask for."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        params = params_file.load(Path("params.yaml"))
        sizes = Sizes(params)
        seconds = _seconds(sizes) if probe else {}
        found: dict[str, dict[str, float]] = defaultdict(lambda: {"disk": 0, "memory": 0, "seconds": 0})
        for name, job in jobs.of_params(params).items():
            own = found[job.stage]
            own["disk"] += disk.of_job(job, sizes)
            own["memory"] = max(own["memory"], memory.of_job(job, sizes, job.threads(CORES)))
            own["seconds"] += seconds.get(name, 0)
    finally:
        os.chdir(before)
    return dict(found)


def _seconds(sizes: Sizes) -> dict[str, float]:
    from sparse_coding.forecast.probing.processor import Costs

    costs = Costs(sizes)
    return {name: costs.of_job(job) for name, job in jobs.of_params(sizes.params).items()}


def run(folder: Path, *targets: str) -> dict[str, Taken]:
    """Make it. Raises CalledProcessError where it fails."""
    command = [sys.executable, "-m", "snakemake", "--cores", str(CORES), *targets]
    code, taken = watched(folder, command, os.environ | {"OMP_NUM_THREADS": "1"})
    if code:
        raise subprocess.CalledProcessError(code, command, (folder / "watched.log").read_text(encoding="utf-8"))
    return taken


def measured(folder: Path, taken: dict[str, Taken]) -> dict[str, dict[str, float]]:
    """What the run in `folder` took, as `forecast` has it."""
    before = Path.cwd()
    os.chdir(folder)
    known = jobs.of_params(params_file.load(Path("params.yaml")))
    os.chdir(before)
    found: dict[str, dict[str, float]] = defaultdict(lambda: {"disk": 0, "memory": 0, "seconds": 0})
    for name, each in taken.items():
        own = found[known[name].stage]
        own["memory"] = max(own["memory"], each.memory)
        own["seconds"] += each.seconds
    for stage, own in found.items():
        made = folder / "results" / stage
        if stage == "transformer":
            made = folder / "models" / known["transformer"].settings.name
        files = [file for file in made.rglob("*") if file.is_file()]
        own["disk"] = sum(file.stat().st_blocks * 512 for file in files)
    return dict(found)


def rows_of(
    size: str, foreseen: dict[str, dict[str, float]], taken: dict[str, dict[str, float]]
) -> list[dict[str, Any]]:
    """Rows for benchmarks/results.json: what was measured, and in the note what was foreseen."""
    rows = []
    for quantity, unit, scale in (("disk", "MB", 1e6), ("memory", "MB", 1e6), ("seconds", "s", 1.0)):
        pairs = {stage: (foreseen[stage][quantity], own[quantity]) for stage, own in taken.items()}
        total = sum if quantity != "memory" else max
        pairs["all"] = (total(pair[0] for pair in pairs.values()), total(pair[1] for pair in pairs.values()))
        for stage, (wanted, found) in pairs.items():
            off = wanted / found - 1 if found else 0.0
            rows.append(
                {
                    "what": f"{size}, {stage}: {quantity}",
                    "value": round(found / scale, 2),
                    "unit": unit,
                    "note": f"forecast {wanted / scale:,.2f}, {off:+.0%}",
                }
            )
    return rows


def _is_of(row: dict[str, Any], sizes: list[str]) -> bool:
    """Whether a row is of one of these sizes: the others keep theirs."""
    return row["what"].split(",")[0] in sizes


def main(sizes: list[str]) -> None:
    """Forecast, run, compare, print, write."""
    rows: list[dict[str, Any]] = []
    for size in sizes or list(SIZES):
        with tempfile.TemporaryDirectory() as scratch:
            folder = project(Path(scratch) / size, SIZES[size])
            foreseen = forecast(folder)
            rows += rows_of(size, foreseen, measured(folder, run(folder, *TARGETS.get(size, []))))
    for row in rows:
        print(f"{row['what']:36} {row['value']:10.2f} {row['unit']:3} {row['note']}")
    others = [row for row in results.load().get("scale", {}).get("rows", []) if not _is_of(row, sizes or list(SIZES))]
    notes = [f"{CORES} cores; loops compiled before"]
    section = {"machine": results.machine(LIBRARIES), "rows": [*rows, *others], "notes": notes}
    results.merge("scale", section)


if __name__ == "__main__":
    main(sys.argv[1:])

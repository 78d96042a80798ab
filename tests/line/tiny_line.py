"""The whole line, small: a tiny model and a folder of texts become every artifact that the workflow promises."""

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np

from sparse_coding.io import tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.settings import grid, params_file
from tests.workspace import snakemake

SITE, CONTROL = "layer1_residual", "random_layer1_residual"


TINY: dict[str, Any] = {
    "grid": {
        "sites": [SITE],
        "architectures": ["tied", "topk"],
        "ratios": [1, 2],
        "l1": [0.001, 0.002, 0.004],
        "k": [2, 8],
        "only": [{"architectures": ["tied"], "ratios": [2]}, {"architectures": ["topk"], "ratios": [1]}],
    },
    "model": {"name": "models/tiny"},
    "dataset": {
        "corpus": "texts",
        "held_out_share": 0.2,
        "context": 32,
        "train_tokens": 6000,
        "held_out_tokens": 1500,
        "fragments": 150,
        "fragment_tokens": 16,
    },
    "dictionaries": {"steps": 60, "batch": 256, "log_steps": 10},
    "baselines": {"topk": [2, 8], "ica_rows": 2000, "nmf_rows": 500, "nmf_iterations": 20},
    "evaluation": {"splice_blocks": 8, "gain_refit_rows": 2000},
    "autointerp": {
        "members": {"l1": 0.002, "k": 8},
        "features": 6,
        "bootstrap": 100,
        "random_weights": {"architecture": "tied", "ratio": 2, "l1": 0.002, "seed": 1},
    },
    "plots": {"dpi": 60},
}


MEMBERS = ["tied_r2_l1-0.001_s0", "tied_r2_l1-0.002_s0", "tied_r2_l1-0.004_s0", "topk_r1_k2_s0", "topk_r1_k8_s0"]


def write_texts(folder: Path, n: int = 60, words: int = 150) -> None:
    """Texts of made-up words, some of them much more frequent than others."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    vocabulary = ["".join(random.choice(list("abdeiklmnoprstu"), 5)) for _ in range(80)]
    for index in range(n):
        chosen = random.zipf(1.4, words) % len(vocabulary)
        (folder / f"{index:02d}.txt").write_text(" ".join(vocabulary[word] for word in chosen))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def baselines_of(folder: Path) -> list[str]:
    return grid.baseline_names(params_file.load(folder / "params.yaml").baselines, SITE)


def artifacts(folder: Path) -> set[str]:
    """The paths of all files below `folder`, without the stamps beside them."""
    files = {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}
    return {file for file in files if not file.endswith(".stamp")}


def read(path: Path, schema=EVALUATION) -> list[dict]:
    return tables.read(path, schema).to_pylist()


def planned_jobs(folder: Path, *targets: str) -> dict[str, str]:
    """How often each rule would run, from the table of a dry run."""
    planned = snakemake(folder, "-n", *targets)
    assert planned.returncode == 0, planned.stdout
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", planned.stdout, re.MULTILINE))
    assert bool(jobs) != ("Nothing to be done" in planned.stdout), planned.stdout
    return jobs


def seen(folder: Path) -> dict[str, tuple[int, int, str]]:
    """The inode, time and content of every artifact: the same only for what was left alone."""
    files = [f"results/{file}" for file in artifacts(folder / "results") if not file.startswith("logs/")]
    return {
        file: ((folder / file).stat().st_ino, (folder / file).stat().st_mtime_ns, sha256(folder / file))
        for file in files
    }


def contents(folder: Path) -> dict[str, str]:
    return {file: content for file, (_, _, content) in seen(folder).items()}

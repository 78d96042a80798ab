"""How near the clock of `sparse_coding forecast` comes on settings of other people: `python -m benchmarks.estimates`.

Five of them, none of which the forecast was fitted to: an encoder, vectors that were made elsewhere, blocks of another
family, short contexts with TopK alone, and many features. Each is forecast, then made, on two idle cores; both times
stand beside each other in benchmarks/results.json, with the range that the forecast gives.
"""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks import results
from benchmarks.scale import CORES, LIBRARIES, run
from sparse_coding.forecast.counting import sums, together
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.forecast.probing.processor import Costs
from sparse_coding.settings import jobs, params_file

TEXTS = {"corpus": "texts", "held_out_share": 0.2}
SETTINGS: dict[str, dict[str, Any]] = {
    "encoder": {
        "grid": {"sites": ["layer3_residual"], "architectures": ["tied", "topk"], "ratios": [4], "l1": [0.001, 0.003],
                 "k": [8, 32]},
        "model": {"name": "models/other"},
        "dataset": TEXTS | {"train_tokens": 60_000, "held_out_tokens": 12_000, "fragments": 1000},
        "dictionaries": {"steps": 400, "batch": 512},
        "evaluation": {"splice_blocks": 16, "gain_refit_rows": 10_000},
        "autointerp": {"members": {"l1": 0.001, "k": 8}, "features": 40, "random_weights": None},
    },
    "vectors": {
        "grid": {"sites": ["mine"], "architectures": ["tied", "untied"], "ratios": [2, 8], "l1": [0.001, 0.004],
                 "k": [16]},
        "activations": {"imported": {"mine": "vectors"}},
        "dictionaries": {"steps": 600, "batch": 1024},
        "autointerp": {"random_weights": None},
    },
    "llama": {
        "grid": {"sites": ["layer1_mlpout", "layer2_attn"], "architectures": ["tied"], "ratios": [2],
                 "l1": [0.0003, 0.001, 0.003], "k": [16]},
        "model": {"name": "models/other"},
        "dataset": TEXTS | {"train_tokens": 100_000, "held_out_tokens": 16_000, "fragments": 1000},
        "dictionaries": {"steps": 400, "batch": 1024},
        "evaluation": {"splice_blocks": 16, "gain_refit_rows": 10_000},
        "autointerp": {"members": {"l1": 0.001, "k": 16}, "features": 40, "random_weights": None},
    },
    "short contexts": {
        "grid": {"sites": ["layer5_residual"], "architectures": ["topk"], "ratios": [2, 8], "l1": [0.001],
                 "k": [4, 16, 64]},
        "model": {"name": "models/pydocs-6l"},
        "dataset": TEXTS | {"context": 32, "train_tokens": 150_000, "held_out_tokens": 20_000, "fragments": 1000},
        "dictionaries": {"steps": 500, "batch": 1024},
        "evaluation": {"splice_blocks": 16},
        "autointerp": {"members": {"l1": 0.001, "k": 16}, "features": 40, "random_weights": None},
    },
    "many features": {
        "grid": {"sites": ["layer2_residual"], "architectures": ["tied", "topk"], "ratios": [16, 32], "l1": [0.001],
                 "k": [32]},
        "model": {"name": "models/pydocs-6l"},
        "dataset": TEXTS | {"train_tokens": 120_000, "held_out_tokens": 16_000, "fragments": 1000},
        "dictionaries": {"steps": 300, "batch": 1024},
        "baselines": {"methods": ["pca", "random"], "topk_methods": ["pca"]},
        "evaluation": {"splice_blocks": 16, "gain_refit_rows": 10_000},
        "autointerp": {"members": {"l1": 0.001, "k": 32}, "features": 40, "random_weights": None},
    },
}  # fmt: skip


def project(folder: Path, name: str) -> Path:
    """A folder with the workflow, what is analysed, and these settings."""
    for each in ("rules", "profiles", "prompts", "models"):
        shutil.copytree(results.ROOT / each, folder / each)
    for each in ("Snakefile", "hub.lock.json"):
        shutil.copy(results.ROOT / each, folder / each)
    (folder / "params.yaml").write_text(yaml.safe_dump(SETTINGS[name]), encoding="utf-8")
    _texts(folder / "texts")
    MADE.get(name, lambda folder: None)(folder)
    return folder


def _texts(folder: Path) -> None:
    """Documents from the words of this project's own pages, in a seeded order: 300,000 words."""
    folder.mkdir()
    words = " ".join(page.read_text(encoding="utf-8") for page in sorted((results.ROOT / "docs").glob("*.md"))).split()
    chosen = np.random.default_rng(0).choice(words, (600, 500))
    for index, document in enumerate(chosen):
        (folder / f"{index:03d}.txt").write_text(" ".join(document), encoding="utf-8")


def _encoder(folder: Path) -> None:
    """Random weights of the shape of all-MiniLM-L6-v2, with few tokens."""
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(vocab_size=4000, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                        intermediate_size=1536)  # fmt: skip
    _save(BertForMaskedLM(config), folder)


def _llama(folder: Path) -> None:
    """Random weights of a small Llama."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(vocab_size=4000, hidden_size=256, num_hidden_layers=4, num_attention_heads=8,
                         num_key_value_heads=4, intermediate_size=768)  # fmt: skip
    _save(LlamaForCausalLM(config), folder)


def _save(network: Any, folder: Path) -> None:
    from sparse_coding.lm.tokenizing import train_tokenizer

    network.save_pretrained(folder / "models" / "other")
    texts = [file.read_text(encoding="utf-8") for file in sorted((folder / "texts").glob("*.txt"))]
    train_tokenizer(texts, 4000).save_pretrained(folder / "models" / "other")


def _vectors(folder: Path) -> None:
    """Sparse sums of directions, 120,000 of 192 dimensions, in two files."""
    random = np.random.default_rng(0)
    directions = random.standard_normal((1024, 192), dtype=np.float32)
    (folder / "vectors").mkdir()
    for index in range(2):
        codes = random.random((60_000, 1024), dtype=np.float32)
        codes = np.where(codes < 0.01, codes * 100, 0).astype(np.float32)
        np.save(folder / "vectors" / f"{index}.npy", codes @ directions)


MADE: dict[str, Callable[[Path], None]] = {"encoder": _encoder, "llama": _llama, "vectors": _vectors}


def forecast(folder: Path) -> tuple[float, float, float]:
    """Seconds on the clock, and the range: L0 in training at a third and three times of its guess."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        params = params_file.load(Path("params.yaml"))
        sizes = Sizes(params)
        every = {name: job for name, job in jobs.of_params(params).items() if not job.apart}
        costs, found = Costs(sizes), sums.of_jobs(every, sizes, CORES)
        guessed = {name: costs.of_job(job) for name, job in every.items()}
        between = {name: costs.between(job, guessed[name]) for name, job in every.items()}
        ends = [{name: each[end] for name, each in between.items()} for end in (0, 1)]
        guess, least, most = (together.clock(found.jobs, each, CORES) for each in (guessed, *ends))
    finally:
        os.chdir(before)
    return guess, least, most


def main(names: list[str]) -> None:
    """Forecast, make, compare, print, write."""
    for name in names or list(SETTINGS):
        with tempfile.TemporaryDirectory() as scratch:
            folder = project(Path(scratch) / "project", name)
            guess, least, most = forecast(folder)
            start = time.perf_counter()
            run(folder)
            taken = time.perf_counter() - start
        note = f"forecast {guess:.0f} ({least:.0f} to {most:.0f}), {guess / taken - 1:+.0%}"
        print(f"{name:16} {taken:7.0f} s  {note}", flush=True)
        keep({"what": f"{name}: clock", "value": round(taken, 1), "unit": "s", "note": note})


def keep(row: dict[str, Any]) -> None:
    """Write a row beside those of the other settings: they take minutes each."""
    others = [each for each in results.load().get("estimates", {}).get("rows", []) if each["what"] != row["what"]]
    notes = [f"{CORES} cores; loops compiled before"]
    results.merge("estimates", {"machine": results.machine(LIBRARIES), "rows": [*others, row], "notes": notes})


if __name__ == "__main__":
    main(sys.argv[1:])

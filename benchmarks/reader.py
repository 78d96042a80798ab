"""How fast the training stream is, and how well it mixes: `python -m benchmarks.reader`.

One core, the file in memory. Mixing is measured on the default's activations, on row numbers in the place of vectors.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.results import ROOT, machine, merge
from sparse_coding.core.training import feed
from sparse_coding.io import stream
from sparse_coding.io.activations import ActivationsWriter, Header, Split, open_activations

SITE = ROOT / "results" / "activations" / "layer2_residual.h5"
BUFFER, BATCH, ROUNDS = 131_072, 1024, 7
DEMAND = {128: 150_000, 512: 60 * 1024}  # rows/s of the fastest cell
NEAR = 8  # tokens


class RowNumbers:
    """In the place of a split: each row's vector is its number."""

    dtype = torch.float64

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows

    def read_into(self, rows: Tensor, start: int, stop: int) -> None:
        """As Split.read_into."""
        rows[:, 0] = torch.arange(start, stop)


def row(what: str, values: list[float], unit: str, note: str = "") -> dict[str, Any]:
    """The median of several values, with the least and the most."""
    print(f"{what}: {statistics.median(values):.4g} [{min(values):.4g}, {max(values):.4g}] {unit} {note}")
    spread = {"least": min(values), "most": max(values)} if len(values) > 1 else {}
    return {"what": what, "value": statistics.median(values), "unit": unit, **spread, "note": note}


def endless(split: Split, mean: Tensor, scale: float) -> Iterator[Tensor]:
    """The stream as the default trains on it."""
    return stream.batches(
        split, size=BATCH, seed=0, buffer_rows=BUFFER, ready=partial(feed.normalised, mean=mean, scale=scale)
    )


def speed(d_act: int, folder: Path) -> dict[str, Any]:
    """Rows a second from a float16 file of 400,000 made-up rows."""
    path, rows = folder / f"{d_act}.h5", 400_000
    header = Header(site="made-up", model="none", corpus="none", dtype="float16", d_act=d_act, block_rows=4096)
    with ActivationsWriter(path, header, {"train": rows}) as writer:
        for start in range(0, rows, 20_000):
            column = np.arange(start, start + 20_000)
            writer.append("train", torch.randn(20_000, d_act), column, column, column)
    found, n = [], 2 * rows // BATCH
    with open_activations(path) as file:
        batches = endless(file.split("train"), file.mean, file.mean_norm)
        for _ in islice(batches, n):  # reads and checks the whole file
            pass
        for _ in range(ROUNDS):
            began = time.process_time()
            for _ in islice(batches, n):
                pass
            found.append(n * BATCH / (time.process_time() - began))
        del batches
    times = statistics.median(found) / DEMAND[d_act]
    return row(f"stream, d = {d_act}, float16, warm", found, "rows/s", f"{times:.0f} times the fastest cell's demand")


def pairs(values: np.ndarray) -> float:
    """The share of pairs that have one value."""
    counts = np.unique(values, return_counts=True)[1].astype(float)
    return float((counts * (counts - 1)).sum() / (len(values) * (len(values) - 1.0)))


def near(rows: np.ndarray, document: np.ndarray) -> float:
    """Pairs in a batch that are at most NEAR rows apart in the file, in one document."""
    rows = np.sort(rows)
    return float(
        sum(
            ((rows[gap:] - rows[:-gap] <= NEAR) & (document[rows[gap:]] == document[rows[:-gap]])).sum()
            for gap in range(1, NEAR + 1)
        )
    )


def mixing() -> list[dict[str, Any]]:
    """Batches of the stream, of a perfect shuffle and of the file as it lies."""
    with open_activations(SITE) as file:
        split = file.split("train")
        document, n, x = split.document, split.n_rows, split.read(0, split.n_rows).sub_(file.mean)
    numbers = RowNumbers(n)
    ours = endless(numbers, torch.zeros(1, dtype=torch.float64), 1.0)  # type: ignore[arg-type]
    random = np.random.default_rng(0)
    count = 2 * n // BATCH
    kinds = {
        "the stream": [batch[:, 0].long().numpy() for batch in islice(ours, count)],
        "a perfect shuffle": [random.choice(n, BATCH, replace=False) for _ in range(count)],
        "the order of the file": [np.arange(start, start + BATCH) for start in range(0, n - BATCH, BATCH)],
    }
    found = []
    for kind, batches in kinds.items():
        same = float(np.mean([pairs(document[rows]) for rows in batches]))
        close = float(np.mean([near(rows, document) for rows in batches]))
        cosine = np.mean([float(torch.cosine_similarity(x[r[:-1]], x[r[1:]]).mean()) for r in batches[:300]])
        found += [
            row(f"pairs of a batch from one document, {kind}", [100 * same], "%"),
            row(f"pairs of a batch at most {NEAR} tokens apart, {kind}", [close], "pairs a batch"),
            row(f"mean cosine of rows side by side, {kind}", [float(cosine)], ""),
        ]
    return found


def main() -> None:
    """Measure, and write the section."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        rows = [speed(d_act, Path(folder)) for d_act in DEMAND]
    rows += mixing()
    notes = [f"One core, processor time; batches of {BATCH}, a buffer of {BUFFER} rows.", f"Mixing: {SITE.stem}."]
    merge("reader", {"rows": rows, "notes": notes, "machine": machine(("torch", "numpy", "h5py"))})


if __name__ == "__main__":
    main()

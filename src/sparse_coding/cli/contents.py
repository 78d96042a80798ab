"""What a file of the workflow holds, in a line or two: shapes, rows and columns, and how a dictionary did.

Read from headers, without torch.
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from sparse_coding.errors import BadInput
from sparse_coding.io import tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.methods import CONTROLS, INSIDE

UNREADABLE = (OSError, ValueError, KeyError, TypeError, SafetensorError, pa.ArrowException, BadInput)


def of_file(path: Path, results: Path = Path("results")) -> list[str]:
    """Lines about the file at `path`; none for a kind of file of which there is nothing to say. results: where the
    evaluation of dictionaries lies, if there is one."""
    read = _KINDS.get(path.suffix)
    if read is None or not path.is_file():
        return []
    try:
        said = read(path)
        said += _evaluated(path, results) if path.suffix == ".safetensors" else []
    except UNREADABLE as error:
        said = [f"nothing that can be read ({' '.join(str(error).split())})"]
    return [f"  {'holds' if not index else '':9} {line}" for index, line in enumerate(said)]


def _tensors(path: Path) -> list[str]:
    with safe_open(path, framework="numpy") as file:
        header = json.loads((file.metadata() or {}).get("sparse_coding", "{}"))
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
    if "dictionary" not in header:
        return [", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())]
    about = json.loads(header["dictionary"])
    n_feat, d_out = shapes["decoder"]
    d_in = shapes["centre"][0]
    n_feat *= 2 if about.get("signed") else 1
    dimensions = f"of {d_in}" if "out_centre" not in shapes else f"from {d_in} to {d_out}"
    skip = ", with a skip" if "skip" in shapes else ""
    kind = f"{about['activation']}, k {about['k']}" if about.get("k") else about["activation"]
    made = json.loads(header.get("settings", "{}"))
    control = made.get("control")
    held = f"; a control: {CONTROLS.get(control, control)}" if control else ""
    held += f"; a snapshot, asked for at {made['tokens']:,} vectors{_seen(made)}" if "tokens" in made else ""
    held += f"; {made['steps_taken']:,} steps taken" if "steps_taken" in made else ""
    return [f"a dictionary: {n_feat} features {dimensions} dimensions, {kind}{skip}{held}", *_matched(made)]


def _seen(made: dict[str, Any]) -> str:
    """A whole batch more at most; where the training ended before, less. Files of before do not tell."""
    return f", {made['seen']:,} seen" if "seen" in made else ""


def _matched(made: dict[str, Any]) -> list[str]:
    """What came of a wished L0, where codes were counted for it."""
    if not (own := made.get("matched")):
        return []
    came = f"{INSIDE[own['strength']]} {own['value']:.4g}, L0 {own['l0']:.4g} on {own['rows']:,}"
    return [f"trained for an L0 of {made['l0_target']:g}: {came} held-out vectors"]


def _evaluated(path: Path, results: Path) -> list[str]:
    """What stage evaluation measured of a dictionary, if it did: tables name files from beside `results`.

    Those of the toy have their metrics in a file of their own beside them.
    """
    own = path.with_suffix(".json")
    if own.exists():
        row = json.loads(own.read_text(encoding="utf-8"))
        return [f"{_measured(row | {'loss_recovered': None})}, MMCS {row['mmcs']:.3f} ({own})"]
    found = []
    for table in sorted(results.glob("evaluation/*/table.parquet")):
        for row in tables.read_also_older(table, EVALUATION, "snakemake evaluation").to_pylist():
            if (results.parent / row["path"]).resolve() == path.resolve():
                found.append(f"{_measured(row)} ({row['variant']}, {table})")
    return found


def _measured(row: dict[str, Any]) -> str:
    fvu = "not defined" if row["fvu"] is None else f"{row['fvu']:.3f}"
    loss = "" if row["loss_recovered"] is None else f", loss recovered {row['loss_recovered']:.2f}"
    return f"on held-out vectors: L0 {row['l0']:.1f}, FVU {fvu}{loss}, {row['dead']} of {row['n_feat']} features dead"


def _parquet(path: Path) -> list[str]:
    found = pq.ParquetFile(path)
    return [_rows(found.metadata.num_rows, found.schema_arrow.names)]


def _csv(path: Path) -> list[str]:
    with path.open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    return [_rows(len(rows), head)]


def _rows(n: int, columns: list[str], kind: str = "a table") -> str:
    return f"{kind}: {n:,} row{'s' if n != 1 else ''} of {len(columns)} columns: {', '.join(columns)}"


def _hdf5(path: Path) -> list[str]:
    found: list[str] = []

    def note(name: str, part: object) -> None:
        if isinstance(part, h5py.Dataset) and part.ndim > 1:
            found.append(f"{name} {list(part.shape)}, {part.dtype}")

    with h5py.File(path) as file:
        file.visititems(note)
    return found


def _json(path: Path) -> list[str]:
    value = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(value, dict):
        return [f"{len(value)} entries: {', '.join(value)}"]
    return [f"a list of {len(value)}"] if isinstance(value, list) else [str(value)]


def _json_lines(path: Path) -> list[str]:
    values = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [_rows(len(values), list(dict.fromkeys(name for value in values for name in value)), "a log")]


def _figure(path: Path) -> list[str]:
    caption = path.with_suffix(".txt")
    return [f"a figure; in words: {caption}"] if caption.exists() else []


_KINDS: dict[str, Callable[[Path], list[str]]] = {
    ".safetensors": _tensors,
    ".parquet": _parquet,
    ".csv": _csv,
    ".h5": _hdf5,
    ".json": _json,
    ".jsonl": _json_lines,
    ".png": _figure,
}

"""A project with dictionaries that were evaluated and interpreted, small: real vectors, tokens, model and files."""

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.interp.means import COLUMNS
from sparse_coding.io import dictionaries, fitted, tables
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.io.tables.frequency import FREQUENCY
from tests import step_inputs
from tests.cli.test_features import row as explained
from tests.tiny_model import make_tiny_model
from tests.using.test_edits import made
from tests.workspace import ROOT

SITE, D = step_inputs.SITE, step_inputs.D
GAIN = 0.25 + torch.arange(50) / 50  # of a refit
THRESHOLD = torch.linspace(0, 1, 50)
KINDS: dict[str, tuple[str, Dictionary]] = {
    "tied_r2_l1-0.001_s0": ("tied", made(d_in=D)),
    "topk_r2_k4_s0": ("topk", made(d_in=D, seed=1, activation="topk", k=4)),
    "jumprelu_r2_l0-8_s0": ("jumprelu", made(d_in=D, seed=2, activation="jumprelu", threshold=THRESHOLD)),
    "nmf": ("nmf", made(d_in=D, seed=3, activation="nnls", iterations=5)),
}
TIED, TOPK, JUMPRELU, NMF = KINDS
ALONE = "tied_r2_l1-0.002_s0"  # not evaluated


def held_out(folder: Path, site: str = SITE) -> torch.Tensor:
    with open_activations(folder / "results" / "activations" / f"{site}.h5") as file:
        return file.split("held_out").read(0, step_inputs.N_HELD_OUT)


def fragments(folder: Path) -> torch.Tensor:
    """[fragment, token, d]"""
    with open_activations(folder / "results" / "activations" / f"{SITE}.h5") as file:
        split = file.split("fragments")
        return split.read(0, split.n_rows).reshape(step_inputs.FRAGMENTS, step_inputs.LENGTH, D)


def make(folder: Path, site: str = SITE, **sections: Any) -> None:
    """Write it into `folder`. sections: of params.yaml, beside model and grid."""
    results = folder / "results"
    step_inputs.write_activations(results / "activations" / f"{site}.h5")
    step_inputs.write_tokens(results / "dataset" / "tokens.h5")
    make_tiny_model(folder / "model", d_model=D)
    params = {"model": {"name": "model"}, "grid": {"sites": [site], "only": []}} | sections
    (folder / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    shutil.copyfile(ROOT / "CITATION.cff", folder / "CITATION.cff")
    vectors, rows, frequencies = held_out(folder, site), [], []
    for name, (kind, dictionary) in {**KINDS, ALONE: KINDS[TIED]}.items():
        of = "baselines" if kind == "nmf" else "dictionaries"
        path = results / of / site / f"{name}.safetensors"
        told = {"site": site, "method": kind} if kind == "nmf" else {"site": site, "architecture": kind, "ratio": 2.0}
        dictionaries.save(path, dictionary, told | ({"k": 4} if kind == "topk" else {}))
        fires = dictionary.encode(vectors) > 0
        if name != ALONE:
            rows += [row | {"site": site} for row in _evaluated(name, kind, str(path.relative_to(folder)), fires)]
        frequencies += [
            {"site": site, "name": name, "feature": feature, "frequency": share}
            for feature, share in enumerate(fires.double().mean(0).tolist())
        ]
        gains = results / "evaluation" / site / "gains" / f"{name}.safetensors"
        fitted.save(gains, "gain_refit", {"gain": GAIN}, path)
    tables.write(results / "evaluation" / site / "table.parquet", rows, EVALUATION)
    tables.write(results / "evaluation" / site / "frequency.parquet", frequencies, FREQUENCY)
    _interpret(results)


def _evaluated(name: str, kind: str, path: str, fires: torch.Tensor) -> list[dict[str, Any]]:
    row: dict[str, Any] = {column.name: None if column.nullable else 0 for column in EVALUATION}
    row |= {"site": SITE, "name": name, "kind": kind, "path": path, "variant": "plain", "loss_kind": "next_token"}
    row |= {"ratio": None if kind == "nmf" else 2.0, "k": 4 if kind == "topk" else None}
    row |= {"n_feat": 50, "d_act": D, "n_vectors": len(fires), "n_tokens": 90, "mse": 1.5, "cosine": 0.5}
    row |= {"l0": float(fires.double().sum(1).mean()), "dead": int((~fires.any(0)).sum()), "alive_share": 1e-4}
    for metric, value in (("fvu", 0.4321), ("loss_recovered", 0.765), ("ce", 4.123), ("kl", 0.5)):
        row |= {metric: value, f"{metric}_low": value - 0.011, f"{metric}_high": value + 0.011}
    row |= {"ce_clean": 3.5, "ce_mean_ablated": 8.25, "ce_zero_ablated": 9.5, "l0_low": 1.0, "l0_high": 40.0}
    return [row, row | {"variant": "gain_refit", "fvu": 0.3999, "fvu_low": None, "fvu_high": None}]


def _interpret(results: Path) -> None:
    """Of the tied one two features; in the model with random weights the same dictionary scores more."""
    rows = [explained(3, 0.25, "weak"), explained(9, 0.75, "strong | one")]
    about = {
        "site": SITE,
        "name": TIED,
        "condition": "plain",
        "judge": "rules",
        "explainer": "rules",
        "mode": "nonzero",
    }
    told = [{**row, **about} for row in rows]
    mean = {"name": TIED, "kind": "tied", "condition": "plain", "scorer": "token-rules", "explainer": "rules"}
    mean |= {"judge": "rules", "score": "top_and_random", "sampled": 2, "scored": 2, "dead": 1, "too_few": 0}
    for site, value in ((SITE, 0.5), (f"random_{SITE}", 0.9375)):
        folder = results / "autointerp" / site
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(told, AUTOINTERP), folder / "table.parquet")
        line = {"site": site, "mean": value, "mean_low": value - 0.125, "mean_high": value + 0.0625} | mean
        tables.write_csv(folder / "means.csv", [{column: line.get(column) for column in COLUMNS}], COLUMNS)


def lines(path: Path) -> list[dict[str, Any]]:
    """Of a packed file."""
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]

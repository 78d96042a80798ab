"""The whole line, small: a tiny model and a folder of texts become every artifact that the workflow promises."""

import csv
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml

from sparse_coding import grid, leaves, params
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.load import load_dictionary
from tests.tiny_model import make_tiny_model
from tests.workspace import ROOT, make_workspace, snakemake, write_params

SITE, CONTROL = "layer1_residual", "random_layer1_residual"
TINY = {
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


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace in which the whole workflow has run."""
    folder = make_workspace(tmp_path_factory.mktemp("line") / "project", TINY)
    make_tiny_model(folder / "models" / "tiny", layers=2)
    write_texts(folder / "texts")
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout
    return folder

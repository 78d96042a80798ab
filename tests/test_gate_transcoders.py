"""The gate of transcoders: a step from one place to another that is known goes through the real stage, and comes out.

As test_gate.py. A workspace imports vectors of single places alone, so the two files are written as a harvest writes
them, and the stage is called.
"""

import json
from functools import partial
from itertools import islice

import numpy as np
import pytest
import torch

from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.core.training import feed
from sparse_coding.core.training.trainee import Schedule
from sparse_coding.io import dictionaries as files
from sparse_coding.io import stream
from sparse_coding.io.activations import ActivationsWriter, Header, open_site
from sparse_coding.settings import grid, slices
from sparse_coding.settings.params import Params
from sparse_coding.stages import dictionaries
from tests.architectures import ALL, D_IN, D_OUT, PAIRS
from tests.planted import plant_step
from tests.reference import train_reference
from tests.test_gate import assert_trajectory

pytestmark = pytest.mark.gate

SITE, SHAPE, HELD_OUT = "layer0_mlpin_to_mlpout", (96, D_IN + D_OUT), 2000
PARAMS = Params.model_validate(
    {
        "grid": {"sites": [SITE], "architectures": list(PAIRS), "ratios": [3], "k": [4]},
        "dictionaries": {"steps": 400, "batch": 256, "log_steps": 10},
    }
)
TRAINING, PENALTY = PARAMS.dictionaries, Penalty(k=4)
LIKE_REFERENCE = 100  # steps; see tests.test_gate


def schedule(kind, steps=TRAINING.steps):
    shares = TRAINING.warmup_share, TRAINING.decay_share
    warmup, decay = (round(share * steps) for share in shares)
    return Schedule(steps=steps, lr=TRAINING.of(kind).lr, warmup=warmup, decay=decay, l1_warmup=0)


@pytest.fixture(scope="module")
def planted():
    """With a linear map beside the codes that is as large as they are: without it there is nothing for a skip."""
    return plant_step(linear=10.0)


@pytest.fixture(scope="module")
def made(planted, tmp_path_factory):
    """The files of both places, and both dictionaries."""
    folder = tmp_path_factory.mktemp("gate")
    at = {"activations": folder / "layer0_mlpin.h5", "targets": folder / "layer0_mlpout.h5"}
    for path, vectors in zip(at.values(), (planted.x, planted.y), strict=True):
        split = {"train": vectors[:-HELD_OUT], "held_out": vectors[-HELD_OUT:]}
        header = Header(path.stem, "none", "none", "float32", vectors.shape[1], 64)
        with ActivationsWriter(path, header, {name: len(rows) for name, rows in split.items()}) as writer:
            for name, rows in split.items():
                writer.append(name, rows, *(np.arange(len(rows)),) * 3)
    for cell in grid.cells(PARAMS, SITE):
        dictionaries.run(slices.dictionaries(PARAMS, cell), **at, output=folder, threads=2)
    return folder, at


def fvu(y_hat, y):
    return float((y_hat - y).square().sum() / (y - y.mean(0)).square().sum())


def found(made, kind):
    """The dictionary, and held-out vectors of both places."""
    with open_site(**made[1]) as site:
        z = site.split("held_out").read(0, HELD_OUT)
    return files.load(made[0] / f"{kind}_r3_k4_s0.safetensors"), *z.tensor_split([D_IN], dim=1)


@pytest.mark.parametrize("kind", PAIRS)
def test_the_stage_finds_the_planted_step(kind, planted, made):
    dictionary, x, y = found(made, kind)
    assert mmcs(planted.written(dictionary.skip), dictionary.atoms) > 0.9
    assert fvu(dictionary.reconstruct(x), y) < 0.2


@pytest.mark.parametrize("kind", PAIRS)
def test_the_stage_trains_as_the_float64_reference(kind, made):
    dictionary, x, y = found(made, kind)
    initial = ALL[kind].init(*SHAPE, torch.Generator().manual_seed(0))
    with open_site(**made[1]) as site:
        mean, scale = site.mean, site.scale
        ready = partial(feed.normalised, mean=mean, scale=scale)
        batches = stream.batches(
            site.split("train"),
            size=TRAINING.batch,
            seed=TRAINING.shuffle_seed,
            buffer_rows=TRAINING.buffer_rows,
            ready=ready,
        )
        plan = schedule(kind)
        trained, losses = train_reference(kind, initial, islice(batches, plan.steps), PENALTY, plan)
    log = [json.loads(line) for line in (made[0] / f"{kind}_r3_k4_s0.log.jsonl").read_text().splitlines()]
    assert_trajectory([line for line in log if line["step"] < LIKE_REFERENCE], losses)
    z = (torch.cat([x, y], dim=1).double() - mean) / scale
    reference = ALL[kind].fold(trained, {}, mean.double() * 0, 1.0, PENALTY)
    theirs = reference.reconstruct(z[:, :D_IN])
    l0 = [float((each > 0).sum(1).double().mean()) for each in (dictionary.encode(x), reference.encode(z[:, :D_IN]))]
    assert l0[0] == pytest.approx(l0[1], rel=0.03)
    assert fvu(dictionary.reconstruct(x), y) == pytest.approx(fvu(theirs, z[:, D_IN:]), rel=0.05)

"""A full disk: one line that names the file, and everything that was there stays.

Each test has a file system of one megabyte, with an older result of the step on it and no room for more.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sparse_coding.errors import BadInput
from sparse_coding.io import tables
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.settings import grid, slices
from tests.step_inputs import (
    OLD,
    SITE,
    D,
    contents,
    member,
    refused,
    some_params,
    write_activations,
    write_dictionary,
    write_texts,
    write_tokens,
)
from tests.tiny_model import make_tiny_model


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path, left: int) -> None:
    """Take all room on the file system of `folder` but about `left` bytes."""
    room = os.statvfs(folder)
    (folder / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize - left))


def refused_for_want_of_room(kept: Path, target: Path, stage: str, settings: object, /, **arguments: object) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(OLD)
    fill(kept, left=4096)
    message = rf"{re.escape(str(target))}: found a full disk \(No space left on device\); wanted room"
    refused(stage, settings, message, kept, **arguments)
    assert target.read_bytes() == OLD


def test_no_room_for_tokens(full, tmp_path):
    model = make_tiny_model(tmp_path / "tiny", layers=1, d_model=D)
    corpus = write_texts(tmp_path / "texts", [f"a text of a few words, number {index}; " * 20 for index in range(40)])
    dataset = {"corpus": str(corpus), "context": 16, "train_tokens": 3000, "held_out_tokens": 50, "fragments": 4}
    settings = slices.dataset(some_params(model={"name": str(model)}, dataset=dataset | {"fragment_tokens": 8}))
    target = full / "dataset" / "tokens.h5"
    refused_for_want_of_room(full, target, "dataset", settings, output=target.parent, threads=1)


def test_no_room_for_harvested_activations(full, tmp_path):
    model = make_tiny_model(tmp_path / "tiny", layers=1, d_model=D)
    write_tokens(tmp_path / "tokens.h5", model=str(model))
    settings = slices.activations(some_params(model={"name": str(model)}), False, [SITE])
    target = full / f"{SITE}.h5"
    refused_for_want_of_room(
        full, target, "activations", settings, tokens=tmp_path / "tokens.h5", output=full, threads=1
    )


def test_no_room_for_imported_activations(full, tmp_path):
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "some.npy", np.ones((20_000, D), np.float32))
    settings = slices.import_activations(some_params(), SITE)
    target = full / f"{SITE}.h5"
    refused_for_want_of_room(full, target, "import_activations", settings, folder=tmp_path / "vectors", output=full)


def test_no_room_for_dictionaries(full, tmp_path):
    write_activations(tmp_path / f"{SITE}.h5")
    params = some_params(grid={"sites": [SITE], "architectures": ["untied"], "ratios": [32], "l1": [0.001]})
    (cell,) = grid.cells(params, SITE)
    target = full / f"{cell.member_names[0]}.safetensors"
    (full / f"{cell.member_names[0]}.log.jsonl").write_bytes(OLD)
    arguments = {"activations": tmp_path / f"{SITE}.h5", "output": full, "threads": 1}
    refused_for_want_of_room(full, target, "dictionaries", slices.dictionaries(params, cell), **arguments)


def test_no_room_for_tables(full, tmp_path):
    params = some_params(autointerp={"features": 2 * D}, baselines={"methods": ["pca"], "topk_methods": []})
    settings = slices.autointerp(params, SITE)
    scored = settings.members[member(params)].model_copy(update={"shuffled_null": False})
    settings = settings.model_copy(update={"members": {member(params): scored}})
    write_activations(tmp_path / f"{SITE}.h5")
    write_tokens(tmp_path / "tokens.h5")
    write_dictionary(tmp_path / f"{member(params)}.safetensors")
    arguments = {"activations": tmp_path / f"{SITE}.h5", "tokens": tmp_path / "tokens.h5", "output": full, "threads": 1}
    arguments |= {"dictionaries": tmp_path / f"{member(params)}.safetensors"}
    refused_for_want_of_room(full, full / f"{member(params)}.parquet", "autointerp", settings, **arguments)


@pytest.mark.parametrize("room", [0, 20_000, 60_000, 70_000, 72_000, 76_000])
def test_hdf5_survives_a_disk_that_fills_up_at_any_moment(room, full, tmp_path):
    """HDF5 alone may crash the process here, or print a traceback for each object that it closes."""
    fill(full, left=room)
    before = contents(full)
    with pytest.raises(BadInput, match=r"a full disk \(No space left on device\)"):
        write_activations(full / "activations.h5")
    assert contents(full) == before


def test_no_room_for_a_parquet_table(full):
    fill(full, left=4096)
    before = contents(full)
    rows = [{"site": SITE, "name": "x", "feature": index, "frequency": index**0.5} for index in range(10_000)]
    with pytest.raises(BadInput, match=r"table\.parquet: found a full disk"):
        tables.write(full / "table.parquet", rows, FREQUENCY)
    assert contents(full) == before

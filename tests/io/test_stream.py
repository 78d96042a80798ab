"""The stream of batches against a plain version of itself, and its thread."""

import gc
import threading
import time
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from sparse_coding.core.training import feed
from sparse_coding.errors import BadInput
from sparse_coding.io import stream
from sparse_coding.io.activations import ActivationsWriter, Header, Split, open_activations

D_ACT = 3
THREAD = "batches ahead"


def write(path: Path, rows: int, dtype: str = "float32") -> Path:
    """Row i holds i in its first dimension, as far as the number format can say it."""
    vectors = torch.randn(rows, D_ACT, generator=torch.Generator().manual_seed(0))
    vectors[:, 0] = torch.arange(rows)
    header = Header(site="a", model="none", corpus="none", dtype=dtype, d_act=D_ACT, block_rows=64)
    with ActivationsWriter(path, header, {"train": rows}) as writer:
        column = np.arange(rows)
        writer.append("train", vectors, column, column, column)
    return path


def plain(split: Split, size: int, seed: int, buffer_rows: int, mean, scale) -> Iterator[torch.Tensor]:
    """Everything in float32, at once, in one thread."""
    generator = torch.Generator().manual_seed(seed)

    def chunks() -> Iterator[int]:
        starts = torch.arange(0, split.n_rows, stream.CHUNK_ROWS)
        while True:
            yield from starts[torch.randperm(len(starts), generator=generator)].tolist()

    following, rest = chunks(), torch.empty(0, D_ACT)
    while True:
        parts = [rest]
        while sum(map(len, parts)) < max(buffer_rows, size):
            start = next(following)
            parts.append(split.read(start, min(start + stream.CHUNK_ROWS, split.n_rows)))
        mixed = torch.cat(parts)
        mixed = mixed[torch.randperm(len(mixed), generator=generator)]
        whole = len(mixed) - len(mixed) % size
        yield from ((part - mean) / scale for part in mixed[:whole].split(size))
        rest = mixed[whole:]


def batches(split: Split, size: int = 10, seed: int = 0, buffer_rows: int = 300) -> Iterator[torch.Tensor]:
    return stream.batches(split, size=size, seed=seed, buffer_rows=buffer_rows, ready=torch.Tensor.float)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == THREAD]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize(
    ("rows", "size", "buffer_rows"), [(1000, 64, 300), (600, 600, 1), (400, 7, 5000), (256, 256, 9)]
)
def test_the_stream_is_that_of_the_plain_version(tmp_path, dtype, rows, size, buffer_rows):
    mean, scale = torch.tensor([5.0, -1.0, 0.5]), 3.7
    with open_activations(write(tmp_path / "a.h5", rows, dtype)) as file:
        split = file.split("train")
        expected = list(islice(plain(split, size, 1, buffer_rows, mean, scale), 100))
        arguments = {
            "size": size,
            "buffer_rows": buffer_rows,
            "ready": partial(feed.normalised, mean=mean, scale=scale),
        }
        found = list(islice(stream.batches(split, seed=1, **arguments), 100))
        other = next(stream.batches(split, seed=2, **arguments))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected, strict=True))
    assert found[0].dtype == torch.float32
    assert found[0].shape == (size, D_ACT)
    assert not torch.equal(other, found[0])


def test_every_epoch_reads_each_row_once_in_another_order(tmp_path):
    with open_activations(write(tmp_path / "a.h5", 1000)) as file:
        rows = torch.cat(list(islice(batches(file.split("train"), size=100, buffer_rows=500), 30)))[:, 0].reshape(3, -1)
    # Chunks are 256 rows, so an epoch ends within a buffer: each row comes 3 times in 3 epochs, or once more or less.
    times = torch.bincount(rows.flatten().long(), minlength=1000)
    assert times.min() >= 2
    assert times.max() <= 4
    assert not torch.equal(rows[0], rows[1])


def test_a_batch_mixes_the_buffer(tmp_path):
    """Of 1000 rows in one buffer, a batch of 100 has about the 0.9 pairs of neighbours that chance gives it."""
    with open_activations(write(tmp_path / "a.h5", 1000)) as file:
        found = list(islice(batches(file.split("train"), size=100, buffer_rows=1000), 200))
    gaps = torch.stack([batch[:, 0].sort().values.diff() for batch in found])
    # 99 neighbours in the file among 1000 rows; a batch holds both with a chance of 0.1 squared.
    assert float((gaps == 1).sum(1).float().mean()) == pytest.approx(999 * 0.1 * 99 / 999, rel=0.15)


def test_more_than_there_are_are_refused_when_the_first_is_asked_for(tmp_path):
    with open_activations(write(tmp_path / "a.h5", 20)) as file:
        with pytest.raises(BadInput, match=r"dictionaries\.batch: found 21; wanted at most the 20 vectors"):
            next(batches(file.split("train"), size=21))
        assert len(next(batches(file.split("train"), size=20))) == 20


def test_the_thread_ends_with_the_stream(tmp_path):
    assert not threads()
    with open_activations(write(tmp_path / "a.h5", 1000)) as file:
        closed, dropped, unused = (batches(file.split("train")) for _ in range(3))
        next(closed), next(dropped)
        assert len(threads()) == 2
        assert all(thread.daemon for thread in threads())
        closed.close()
        assert len(threads()) == 1
        del dropped, unused
        gc.collect()
        assert not threads()


def test_an_error_of_the_thread_is_raised_here_and_ends_it(tmp_path):
    path = write(tmp_path / "a.h5", 1000)
    data = path.read_bytes()
    at = data.rindex(torch.tensor([977.0]).numpy().tobytes())
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])
    with open_activations(path) as file, pytest.raises(BadInput, match=r"a\.h5: train: block 15"):
        list(islice(batches(file.split("train")), 100))
    assert not threads()


def test_the_thread_is_a_few_batches_ahead_and_no_more(tmp_path, monkeypatch):
    reads = []
    with open_activations(write(tmp_path / "a.h5", 1000)) as file:
        split = file.split("train")
        read_into = split.read_into
        monkeypatch.setattr(split, "read_into", lambda *place: (reads.append(place), read_into(*place)))
        endless = batches(split, size=256, buffer_rows=256)
        next(endless)
        deadline = time.monotonic() + 20
        while len(reads) < stream.AHEAD and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)
        assert stream.AHEAD <= len(reads) <= stream.AHEAD + 10
        endless.close()


@pytest.mark.parametrize(
    ("rows", "size", "buffer_rows"), [(1000, 10, 300), (1000, 64, 1), (513, 100, 5000), (300, 300, 300)]
)
@pytest.mark.parametrize("skip", [0, 1, 7, 30, 200])
def test_batches_that_are_left_out_change_none_of_the_others(tmp_path, rows, size, buffer_rows, skip):
    with open_activations(write(tmp_path / "a.h5", rows)) as file:
        split, mean = file.split("train"), torch.ones(D_ACT)
        given = {
            "size": size,
            "seed": 5,
            "buffer_rows": buffer_rows,
            "ready": partial(feed.normalised, mean=mean, scale=2.0),
        }
        whole = list(islice(plain(split, size, 5, buffer_rows, mean, 2.0), skip, skip + 12))
        found = list(islice(stream.batches(split, **given, skip=skip), 12))
    assert all(torch.equal(one, other) for one, other in zip(found, whole, strict=True))


def test_what_is_left_out_is_not_read(tmp_path, monkeypatch):
    with open_activations(write(tmp_path / "a.h5", 5000)) as file:
        split, read = file.split("train"), []
        reads = type(split).read_into
        monkeypatch.setattr(
            type(split), "read_into", lambda own, to, a, b: (read.append(b - a), reads(own, to, a, b))[1]
        )
        given = {"size": 50, "seed": 0, "buffer_rows": 1000, "ready": torch.Tensor.float}
        next(stream.batches(split, **given, skip=2000))
    assert sum(read) < 50 * 5000 / 10

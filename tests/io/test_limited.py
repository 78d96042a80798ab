"""Training vectors without the longest ones: which, how many, and a stream over the others as over a file of them."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.errors import BadInput
from sparse_coding.io import stream
from sparse_coding.io.activations import ActivationsWriter, Header, open_site
from sparse_coding.io.activations.limited import Some, trained_on

ROWS, D_ACT = 3000, 6


def write(path: Path, vectors: torch.Tensor, held_out: torch.Tensor | None = None, dtype: str = "float32") -> Path:
    header = Header(site="a", model="none", corpus="none", dtype=dtype, d_act=D_ACT, block_rows=64)
    parts = {"train": vectors} | ({} if held_out is None else {"held_out": held_out})
    with ActivationsWriter(path, header, {name: len(part) for name, part in parts.items()}) as writer:
        for name, part in parts.items():
            column = np.arange(len(part))
            writer.append(name, part, column, column, column)
    return path


def with_sinks(rows: int = ROWS, seed: int = 0, times: float = 300.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors of which some, also neighbours and the first and last, are many times as long; and which."""
    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, D_ACT, generator=generator) + 1
    are = torch.rand(rows, generator=generator) < 0.02
    are[[0, 1, 2, -1]] = True
    vectors[are] *= times
    return vectors, are


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_file_with_sinks_gives_the_stream_mean_and_scale_of_one_without_them(tmp_path, dtype):
    vectors, are = with_sinks()
    held_out, beyond = with_sinks(500, seed=1)
    with open_site(write(tmp_path / "without.h5", vectors[~are], dtype=dtype)) as file:
        wanted = trained_on(file, None)
        batches = list(islice(drawn(wanted.split), 200))
    with open_site(write(tmp_path / "with.h5", vectors, held_out, dtype)) as file:
        found = trained_on(file, 10.0)
        stored = file.split("train").read(0, ROWS).double()
        assert found.left_out == {
            "longest": pytest.approx(10 * float(np.median(stored.norm(dim=1)))),
            "train": int(are.sum()),
            "held_out": int(beyond.sum()),
        }
        assert found.split.n_rows == ROWS - int(are.sum())
        for skip in (0, 7, 130):  # also where it is gone on with
            rest = list(islice(drawn(found.split, skip), 200 - skip))
            assert all(map(torch.equal, rest, batches[skip:]))
    torch.testing.assert_close(found.mean, wanted.mean)
    assert found.scale == pytest.approx(wanted.scale)


def drawn(split, skip=0):
    return stream.batches(split, size=50, seed=3, buffer_rows=700, ready=torch.Tensor.float, skip=skip)


def test_where_none_is_longer_nothing_is_other_than_without_a_limit(tmp_path):
    vectors, are = with_sinks()
    with open_site(write(tmp_path / "a.h5", vectors[~are])) as file:
        found = trained_on(file, 1e6)
        assert found.split is file.split("train")
        assert (found.scale, found.left_out["train"]) == (file.scale, 0)
        assert torch.equal(found.mean, file.mean)
        assert trained_on(file, None).left_out is None


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("small") / "a.h5", with_sinks(200)[0])


@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_some_rows_are_read_as_if_there_were_no_others(small, data):
    rows = np.array(sorted(data.draw(st.sets(st.integers(0, 199)))), dtype=np.int64)
    start = data.draw(st.integers(0, len(rows)))
    stop = data.draw(st.integers(start, len(rows)))
    with open_site(small) as file:
        some, read = Some(file.split("train"), rows), torch.empty(stop - start, D_ACT)
        some.read_into(read, start, stop)
        assert torch.equal(read, file.split("train").read(0, 200)[rows[start:stop]])
        with pytest.raises(IndexError):
            some.read_into(torch.empty(1, D_ACT), len(rows), len(rows) + 1)


def test_vectors_that_do_not_vary_without_the_long_ones_are_refused(tmp_path):
    vectors = torch.ones(300, D_ACT)
    vectors[::100] *= 50
    with open_site(write(tmp_path / "a.h5", vectors)) as file, pytest.raises(BadInput, match="do not vary"):
        trained_on(file, 10.0)

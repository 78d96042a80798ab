"""Two files read as one: rows of both places side by side, of the same tokens or refused."""

from contextlib import ExitStack
from dataclasses import replace
from itertools import islice

import pytest
import torch

from sparse_coding.core.cut import Cut
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import stream
from sparse_coding.io.activations import ActivationsWriter, Header, open_site
from sparse_coding.io.activations.limited import trained_on

ROWS, WIDTHS = {"train": 700, "held_out": 90, "fragments": 40}, (6, 4)
HEADER = Header("layer2_mlpin", "models/tiny", "texts", "float32", WIDTHS[0], block_rows=100)


def write(path, vectors, header=HEADER, shift=0, rows=ROWS):
    """Vectors by split; shift: of the tokens that they are said to be of."""
    with ActivationsWriter(path, header, rows) as writer:
        for name, n in rows.items():
            of = torch.arange(n).numpy()
            writer.append(name, vectors[name], of + shift, of // 10, of % 10)
    return path


@pytest.fixture
def vectors():
    generator = torch.Generator().manual_seed(0)
    drawn = [{name: torch.randn(n, width, generator=generator) + 2 for name, n in ROWS.items()} for width in WIDTHS]
    drawn[1]["train"] *= 30
    return drawn


@pytest.fixture
def files(tmp_path, vectors):
    second = replace(HEADER, site="layer2_mlpout", d_act=WIDTHS[1])
    return write(tmp_path / "a.h5", vectors[0]), write(tmp_path / "b.h5", vectors[1], second)


def test_rows_are_those_of_both_files_side_by_side(files, vectors):
    with open_site(*files) as site:
        for name, n in ROWS.items():
            wanted, split = torch.cat([part[name] for part in vectors], dim=1), site.split(name)
            assert torch.equal(split.read(0, n), wanted)
            assert torch.equal(split.rows(torch.tensor([5, 2])), wanted[[5, 2]])
            assert (split.n_rows, split.d_act) == (n, sum(WIDTHS))
        assert site.places == ("layer2_mlpin", "layer2_mlpout")
        train = torch.cat([part["train"] for part in vectors], dim=1)
        torch.testing.assert_close(site.mean, train.mean(0))
        x, y = ((part["train"] - part["train"].mean(0)).norm(dim=1).mean() for part in vectors)
        torch.testing.assert_close(site.scale, torch.tensor([float(x)] * 6 + [float(y)] * 4))


def test_the_stream_draws_the_same_rows_of_both(files, vectors):
    whole = torch.cat([part["train"] for part in vectors], dim=1)
    with open_site(*files) as site:
        drawn = stream.batches(site.split("train"), size=70, seed=1, buffer_rows=200, ready=torch.Tensor.clone)
        epoch = torch.cat(list(islice(drawn, 10)))
    assert {tuple(row) for row in epoch.tolist()} == {tuple(row) for row in whole.tolist()}


def test_a_row_is_left_out_where_one_of_its_vectors_is_long(tmp_path, vectors):
    for place, row in ((0, 3), (1, 500), (1, 699)):
        vectors[place]["train"][row] *= 1000
    second = replace(HEADER, site="layer2_mlpout", d_act=WIDTHS[1])
    with open_site(write(tmp_path / "a.h5", vectors[0]), write(tmp_path / "b.h5", vectors[1], second)) as site:
        found = trained_on(site, 20.0)
        kept = torch.cat([part["train"] for part in vectors], dim=1)[[i for i in range(700) if i not in (3, 500, 699)]]
        rows = torch.empty(697, 10)
        found.split.read_into(rows, 0, 697)
        assert torch.equal(rows, kept)
        assert (found.left_out["train"], found.left_out["held_out"]) == (3, 0)
        assert found.left_out["longest_target"] > 10 * found.left_out["longest"]
        torch.testing.assert_close(found.mean, kept.mean(0))
        lengths = [(part - part.mean(0)).norm(dim=1).mean() for part in kept.split(WIDTHS, dim=1)]
        torch.testing.assert_close(found.scale, torch.tensor([lengths[0]] * 6 + [lengths[1]] * 4))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "models/other"}, "model models/other; wanted model models/tiny"),
        ({"corpus": "other"}, "corpus other; wanted corpus texts"),
        ({"shift": 1}, "another token than .*a.h5: train has; wanted vectors of the same tokens"),
        ({"rows": ROWS | {"train": 699}}, "699 vectors; wanted 700"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(files, vectors, tmp_path, change, message):
    header = replace(HEADER, d_act=WIDTHS[1], **{name: change[name] for name in ("model", "corpus") if name in change})
    rows = change.get("rows", ROWS)
    cut = {name: part[: rows[name]] for name, part in vectors[1].items()}
    other = write(tmp_path / "c.h5", cut, header, change.get("shift", 0), rows)
    with pytest.raises(BadInput, match=message), ExitStack() as stack:
        stack.enter_context(open_site(files[0], other)).split("train")


def test_a_byte_that_was_changed_is_seen_in_either_file(files):
    data = bytearray(files[1].read_bytes())
    with open_site(*files) as site:
        at = data.find(site.files[1].split("held_out").read(0, 1).numpy().tobytes())
    data[at] ^= 1
    files[1].write_bytes(data)
    with open_site(*files) as site, pytest.raises(BadInput, match="held_out: block 0: found bytes that were changed"):
        site.split("held_out").read(0, 90)


def test_a_cut_takes_what_is_put_together_to_its_place():
    z, atoms = torch.arange(20.0).reshape(2, 10), torch.eye(4)
    dictionary = Dictionary(torch.eye(6)[:4], torch.zeros(4), atoms, torch.zeros(6), torch.ones(4), out_centre=atoms[0])
    rebuilt = Cut(6).rebuilt(dictionary, z)
    assert torch.equal(rebuilt, torch.cat([z[:, :6], z[:, :4] + atoms[0]], dim=1))
    square = Dictionary(torch.eye(10), torch.zeros(10), torch.eye(10), torch.zeros(10), torch.ones(10))
    assert torch.equal(Cut().rebuilt(square, z), z)
    assert torch.equal(Cut().source(z), Cut().target(z))

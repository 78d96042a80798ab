"""Activations files against what was put in, in every number format, and against every kind of damage."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparse_coding.errors import BadInput
from sparse_coding.io.activations import ActivationsWriter, Header, open_activations

D_ACT = 5
ROWS = {"train": 103, "held_out": 20, "fragments": 32}
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def header(dtype: str = "float32", block_rows: int = 16) -> Header:
    return Header("layer2_residual", "models/tiny", "pydocs", dtype, D_ACT, block_rows, n_layers=3)


def content(split: str) -> dict:
    generator = torch.Generator().manual_seed(len(split))
    n = ROWS[split]
    columns = {name: torch.randint(0, 1000, (n,), generator=generator) for name in ("token", "document", "position")}
    return {"vectors": torch.randn(n, D_ACT, generator=generator) * 3 + 1, **columns}


def append(writer: ActivationsWriter, split: str, rows: dict, portion: int = 1000) -> None:
    for start in range(0, len(rows["token"]), portion):
        writer.append(split, **{name: values[start : start + portion] for name, values in rows.items()})


def write(path: Path, dtype: str = "float32", block_rows: int = 16, portion: int = 1000) -> Path:
    with ActivationsWriter(path, header(dtype, block_rows), ROWS) as writer:
        for split in ROWS:
            append(writer, split, content(split), portion)
    return path


def interrupt(writer: ActivationsWriter) -> None:
    writer.append("train", **content("train"))
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("activations") / "layer2_residual.h5")


@pytest.fixture
def damaged(written, tmp_path) -> Path:
    return Path(shutil.copy(written, tmp_path / "damaged.h5"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_was_written_is_read_in_any_dtype(tmp_path, dtype):
    with open_activations(write(tmp_path / "a.h5", dtype)) as file:
        assert (file.site, file.model, file.corpus, file.dtype) == ("layer2_residual", "models/tiny", "pydocs", dtype)
        assert (file.d_act, file.block_rows, file.n_layers) == (D_ACT, 16, 3)
        for name, n in ROWS.items():
            split, rows = file.split(name), content(name)
            assert (split.n_rows, split.n_blocks) == (n, -(-n // 16))
            vectors = split.read(0, n)
            assert vectors.dtype == torch.float32
            assert torch.equal(vectors, rows["vectors"].to(DTYPES[dtype]).float())
            for column in ("token", "document", "position"):
                found = getattr(split, column)
                assert found.dtype == np.int32
                np.testing.assert_array_equal(found, rows[column])


@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_and_mean_norm_are_those_of_the_stored_training_vectors(tmp_path, dtype):
    stored = content("train")["vectors"].to(DTYPES[dtype]).double()
    mean = stored.mean(0)
    with open_activations(write(tmp_path / "a.h5", dtype)) as file:
        torch.testing.assert_close(file.mean.double(), mean, rtol=1e-6, atol=1e-7)
        assert file.mean_norm == pytest.approx(float((stored - mean).norm(dim=1).mean()), rel=1e-6)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    portion=st.integers(1, 120),
    block_rows=st.integers(1, 120),
    bounds=st.tuples(st.integers(0, 103), st.integers(0, 103)),
)
def test_any_rows_can_be_read_whatever_the_portions_and_blocks(tmp_path, portion, block_rows, bounds):
    start, stop = sorted(bounds)
    with open_activations(write(tmp_path / "a.h5", "float16", block_rows, portion)) as file:
        assert torch.equal(
            file.split("train").read(start, stop), content("train")["vectors"][start:stop].half().float()
        )


def test_the_bytes_do_not_depend_on_the_portions(tmp_path):
    one, other = write(tmp_path / "one.h5", portion=7), write(tmp_path / "other.h5", portion=50)
    assert one.read_bytes() == other.read_bytes()


def test_a_read_is_a_copy(written):
    before = written.read_bytes()
    with open_activations(written) as file:
        file.split("train").read(0, 3).zero_()
        file.split("train").token[:] = 0
        assert torch.equal(file.split("train").read(0, 3), content("train")["vectors"][:3])
        assert file.split("train").token.any()
    assert written.read_bytes() == before


def test_rows_beyond_the_split_are_an_index_error(written):
    with open_activations(written) as file:
        for start, stop in ((0, 104), (-1, 3), (5, 4)):
            with pytest.raises(IndexError):
                file.split("train").read(start, stop)
        for beyond in ([103], [-1, 3]):
            with pytest.raises(IndexError):
                file.split("train").rows(torch.tensor(beyond))


def test_chosen_rows_come_in_the_order_asked_for_and_are_checked(damaged):
    wanted = torch.tensor([95, 3, 3, 50])
    with open_activations(damaged) as file:
        assert torch.equal(file.split("train").rows(wanted), content("train")["vectors"][wanted])
        offset = h5py.File(damaged)["train"]["vectors"].id.get_offset()
    data = bytearray(damaged.read_bytes())
    data[offset + 51 * 4 * D_ACT] ^= 1
    damaged.write_bytes(data)
    with open_activations(damaged) as file:
        file.split("train").rows(wanted[:3])
        with pytest.raises(BadInput, match=r"damaged\.h5: train: block 3"):
            file.split("train").rows(wanted)


@pytest.mark.parametrize("split", ROWS)
@pytest.mark.parametrize("dataset", ["vectors", "token", "document", "position"])
def test_an_edited_byte_is_found_in_its_block_alone(damaged, split, dataset):
    with h5py.File(damaged, "r") as file:
        offset = file[split][dataset].id.get_offset() + 17 * file[split][dataset].nbytes // ROWS[split]
    data = bytearray(damaged.read_bytes())
    data[offset] ^= 1
    damaged.write_bytes(data)
    with open_activations(damaged) as file:
        file.split(split).read(0, 16)
        with pytest.raises(BadInput, match=rf"damaged\.h5: {split}: block 1"):
            file.split(split).read(15, 18)
        with pytest.raises(BadInput, match=rf"damaged\.h5: {split}: block 1"):
            _ = file.split(split).token


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(damaged, share):
    data = damaged.read_bytes()
    damaged.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(BadInput, match=r"damaged\.h5.*cut short"), open_activations(damaged):
        pass


def set_attribute(name: str, value: object):
    def edit(file: h5py.File) -> None:
        file.attrs[name] = value

    return edit


def set_value(dataset: str):
    def edit(file: h5py.File) -> None:
        file[dataset][0] += 1

    return edit


def replace(dataset: str, **options: object):
    def edit(file: h5py.File) -> None:
        data = file[dataset][: options.pop("rows", None)]
        del file[dataset]
        file.create_dataset(dataset, data=data, **options)

    return edit


def delete(name: str):
    def edit(file: h5py.File) -> None:
        del file[name]

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_attribute("site", "layer3_residual"), "header, mean or checksum"),
        (set_attribute("mean_norm", 1.0), "header, mean or checksum"),
        (set_attribute("extra", np.arange(3)), "header, mean or checksum"),
        (set_attribute("format", "activations 0"), "format 'activations 0'"),
        (set_attribute("dtype", "int8"), "dtype 'int8'"),
        (set_attribute("block_rows", 8), "train/checksum: found shape"),
        (set_attribute("d_act", 4), "train/vectors: found shape"),
        (set_value("mean"), "header, mean or checksum"),
        (set_value("train/checksum"), "header, mean or checksum"),
        (delete("held_out"), "header, mean or checksum"),
        (delete("train"), "no split train"),
        (delete("train/token"), "train/token: found no such dataset"),
        (delete("fragments/vectors"), "fragments/vectors: found no such dataset"),
        (replace("train/token", rows=100), "train/token: found shape"),
        (replace("held_out/vectors", rows=19), "held_out/"),
        (replace("train/vectors", dtype="f8"), "train/vectors: found shape .* float64"),
        (replace("train/vectors", chunks=(16, D_ACT)), "train/vectors: .*chunked"),
    ],
)
def test_an_edited_structure_is_refused_by_name(damaged, edit, message):
    with h5py.File(damaged, "r+") as file:
        edit(file)
    with pytest.raises(BadInput, match=rf"damaged\.h5.*{message}"), open_activations(damaged):
        pass


def test_something_else_is_refused(tmp_path):
    for content_bytes in (b"", b"hello" * 1000):
        (tmp_path / "foreign").write_bytes(content_bytes)
        with (
            pytest.raises(
                BadInput,
                match=r"foreign: found (an empty file|a file that is no HDF5 file); wanted an activations file",
            ),
            open_activations(tmp_path / "foreign"),
        ):
            pass
    with pytest.raises(BadInput, match="missing: found no such file"), open_activations(tmp_path / "missing"):
        pass
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["x"] = np.arange(3)
    with pytest.raises(BadInput, match=r"foreign\.h5: found format None"), open_activations(tmp_path / "foreign.h5"):
        pass


def test_an_absent_split_is_named(tmp_path):
    with ActivationsWriter(tmp_path / "a.h5", header(), {"train": 103}) as writer:
        writer.append("train", **content("train"))
    with (
        open_activations(tmp_path / "a.h5") as file,
        pytest.raises(BadInput, match="found splits train; wanted a split held_out"),
    ):
        file.split("held_out")


@pytest.mark.parametrize(
    ("dtype", "value", "message"),
    [
        ("float16", float("nan"), "not finite"),
        ("float32", float("inf"), "not finite"),
        ("float16", -7e4, "too large for float16; wanted activations.dtype: bfloat16 or float32"),
        ("bfloat16", 3.4e38, "too large for bfloat16; wanted activations.dtype: float32"),
    ],
)
def test_what_cannot_be_stored_names_site_block_and_token_and_leaves_nothing(tmp_path, dtype, value, message):
    rows = content("train")
    rows["vectors"][37, 2] = value
    rows["token"][37] = 123
    place = r"layer2_residual: train: block 2, vector 37 \(token 123 at position \d+, document \d+\)"
    with (
        pytest.raises(BadInput, match=f"{place}: found .*{message}"),
        ActivationsWriter(tmp_path / "a.h5", header(dtype), ROWS) as writer,
    ):
        append(writer, "train", rows, portion=10)
    assert list(tmp_path.iterdir()) == []


def test_announced_and_written_rows_must_agree(tmp_path):
    rows = content("train")
    with (
        pytest.raises(ValueError, match="103 of 104"),
        ActivationsWriter(tmp_path / "a.h5", header(), {"train": 104}) as writer,
    ):
        writer.append("train", **rows)
    with (
        pytest.raises(ValueError, match="more than the 102"),
        ActivationsWriter(tmp_path / "a.h5", header(), {"train": 102}) as writer,
    ):
        writer.append("train", **rows)
    with (
        pytest.raises(BadInput, match="held_out: found 0 vectors"),
        ActivationsWriter(tmp_path / "a.h5", header(), {"train": 1, "held_out": 0}),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_was_there_stays_until_the_new_file_is_complete(tmp_path):
    path = write(tmp_path / "a.h5")
    before = path.read_bytes()
    with pytest.raises(KeyboardInterrupt), ActivationsWriter(path, header("float16"), ROWS) as writer:
        interrupt(writer)
    assert path.read_bytes() == before
    with ActivationsWriter(path, header("float16"), {"train": 103}) as writer:
        writer.append("train", **content("train"))
        writer.finish()
        assert path.read_bytes() == before
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]

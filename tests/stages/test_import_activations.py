"""A folder of vectors made elsewhere, as an activations file."""

import os
import pickle
import resource
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import save_file

from sparse_coding.cli.main import main
from sparse_coding.errors import BadInput
from sparse_coding.forecast.counting import imported
from sparse_coding.io.activations import open_activations
from sparse_coding.settings import outside
from sparse_coding.settings.params import Activations, Params
from sparse_coding.settings.slices import ImportSlice
from sparse_coding.stages import import_activations


def run(folder: Path, output: Path, held_out_share: float = 0.2, dtype: str = "float32") -> None:
    """Import `folder` as `<output>/mine.h5`."""
    settings = Activations(dtype=dtype, block_rows=16)
    slice_ = ImportSlice(site="mine", activations=settings, held_out_share=held_out_share)
    import_activations.run(slice_, folder=folder, output=output)


def vectors(n: int, d_act: int = 6, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d_act, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "given").mkdir()
    return tmp_path / "given"


def test_files_of_both_kinds_become_train_and_held_out(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(import_activations, "PORTION_ROWS", 7)
    parts = [vectors(50, seed=1), vectors(10, seed=2), vectors(20, seed=3).bfloat16()]
    np.save(folder / "a.npy", parts[0].double().numpy())
    save_file({"second": parts[2], "first": parts[1]}, folder / "b.safetensors")
    (folder / "notes.txt").write_text("ignored")
    (folder / "._a.npy").write_text("hidden: no part of a job's key, so no part of its result")
    run(folder, tmp_path)
    with open_activations(tmp_path / "mine.h5") as file:
        assert (file.site, file.corpus, file.d_act, file.n_layers) == ("mine", "given", 6, None)
        assert list(file.splits) == ["train", "held_out"]
        train, held_out = file.split("train"), file.split("held_out")
        assert torch.equal(train.read(0, 64), torch.cat([part[: len(part) * 4 // 5].float() for part in parts]))
        assert torch.equal(held_out.read(0, 16), torch.cat([part[len(part) * 4 // 5 :].float() for part in parts]))
        assert held_out.document.tolist() == [0] * 10 + [1] * 2 + [2] * 4
        assert held_out.position.tolist() == [*range(40, 50), 8, 9, *range(16, 20)]
        assert set(train.token.tolist()) == {-1}


def test_without_a_held_out_share_there_is_no_such_split(folder, tmp_path):
    np.save(folder / "a.npy", vectors(5).numpy())
    run(folder, tmp_path, held_out_share=0)
    with open_activations(tmp_path / "mine.h5") as file:
        assert list(file.splits) == ["train"]


def bad_value(value: float) -> np.ndarray:
    array = vectors(40).numpy()
    array[31, 2] = value
    return array


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "given: found no .npy, .safetensors or .pt file"),
        ({"a.npy": b"hello"}, "a.npy: found a file that numpy cannot read"),
        ({"a.npy": np.zeros(5)}, r"a.npy: found shape \[5\]"),
        ({"a.npy": np.zeros((2, 3, 4))}, r"a.npy: found shape \[2, 3, 4\]"),
        ({"a.npy": np.zeros((5, 6), dtype=int)}, "a.npy: found .*int64"),
        ({"a.npy": np.array([["x"]], dtype=object)}, "a.npy: found a file that numpy cannot read"),
        ({"a.npy": b"version https://git-lfs.github.com/spec/v1\n"}, "a.npy: found a pointer of git-lfs"),
        ({"a.safetensors": b"version https://git-lfs.github.com/spec/v1\n"}, "a.safetensors: found a pointer of git-"),
        ({"a.pt": b"version https://git-lfs.github.com/spec/v1\n"}, "a.pt: found a pointer of git-lfs"),
        ({"a.npy": np.ones((40, 6))}, "mine: train: found vectors that do not vary: all 36 are the same"),
        ({"a.npy": vectors(40).numpy() * 1e-8}, "mine: train: found a rounding error of .* in float16; .*: float32"),
        ({"a.npy": vectors(4).numpy()}, r"dataset\.held_out_share: found 0\.1, and 4 vectors in 1 file.*given; wanted"),
        ({"a.npy": np.zeros((0, 6))}, r"a.npy: found shape \[0, 6\]"),
        (
            {"a.npy": np.ones((5, 6)), "b.npy": np.ones((5, 7))},
            r"b.npy: found vectors of 7 numbers; wanted 6 as in .*a.npy",
        ),
        ({"a.npy": bad_value(float("nan"))}, "a.npy: row 31: found a value that is not finite"),
        ({"a.npy": bad_value(1e6)}, "mine: train: block 1, vector 31 .*too large for float16; .*bfloat16 or float32"),
        ({"a.safetensors": b"hello"}, "a.safetensors: found a file that safetensors cannot read"),
        ({"a.safetensors": {"x": torch.zeros(4)}}, r"a.safetensors: x: found shape \[4\]"),
        ({"a.safetensors": {"x": torch.zeros(4, 4, dtype=torch.int8)}}, "a.safetensors: x: found .*I8"),
        ({"a.safetensors": {}}, "a.safetensors: found no tensor"),
    ],
)
def test_what_cannot_be_imported_is_named_and_leaves_nothing(folder, tmp_path, files, message):
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        elif isinstance(content, dict):
            save_file(content, folder / name)
        else:
            np.save(folder / name, content, allow_pickle=True)
    with pytest.raises(BadInput, match=message):
        run(folder, tmp_path, held_out_share=0.1, dtype="float16")
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_an_archive_that_is_called_npy_is_named(folder, tmp_path):
    np.savez(folder / "a.npz", a=np.ones((5, 4), np.float32))
    (folder / "a.npz").rename(folder / "0.npy")
    with pytest.raises(
        BadInput, match=r"0\.npy: found an archive of arrays, as np\.savez writes it; wanted a two-dimens"
    ):
        run(folder, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_files_below_and_behind_links_are_imported_as_the_key_has_them(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    np.save(tmp_path / "elsewhere" / "10.npy", vectors(4, seed=1).numpy())
    np.save(tmp_path / "elsewhere" / "9.npy", vectors(4, seed=2).numpy())
    (folder / "b").symlink_to("../elsewhere")
    (folder / "a").mkdir()
    np.save(folder / "a" / "0.npy", vectors(4, seed=3).numpy())
    (folder / "a" / "1.NPY").write_bytes((folder / "a" / "0.npy").read_bytes())
    (folder / "README.md").write_text("where they are from")
    run(folder, tmp_path, held_out_share=0.0)
    with open_activations(tmp_path / "mine.h5") as file:
        wanted = [vectors(4, seed=seed) for seed in (3, 3, 2, 1)]
        assert torch.equal(file.split("train").read(0, 16), torch.cat(wanted))
    names = [Path(name).relative_to(folder).as_posix() for name in outside.imported(str(folder)).files]
    assert names == ["a/0.npy", "a/1.NPY", "b/9.npy", "b/10.npy"]
    assert imported.rows_and_width(str(folder)) == (16, 6)


@pytest.mark.parametrize(
    ("sizes", "share", "held_out"),
    [
        ([10] * 200, 0.05, 100),  # one file a prompt
        ([3] * 1000, 0.05, 150),
        ([1] * 400, 0.1, 40),
        ([10] * 7, 0.05, 0),
        ([*range(1, 10)] * 20, 0.05, 45),
    ],
)
def test_whole_files_are_held_out_where_files_are_short(folder, tmp_path, sizes, share, held_out):
    for index, size in enumerate(sizes):
        np.save(folder / f"{index}.npy", vectors(size, seed=index).numpy())
    if not held_out:
        wanted = (
            r"dataset\.held_out_share: found 0\.05, and 70 vectors in 7 file\(s\) of .*given; wanted more of them, or"
        )
        with pytest.raises(BadInput, match=wanted):
            run(folder, tmp_path, held_out_share=share)
        return
    run(folder, tmp_path, held_out_share=share)
    with open_activations(tmp_path / "mine.h5") as file:
        train, rest = file.split("train"), file.split("held_out")
        assert rest.n_rows == pytest.approx(held_out, abs=max(sizes))
        assert not set(train.document) & set(rest.document)
        gaps = np.diff(np.unique(rest.document))
        assert gaps.max() <= 2 * len(sizes) / len(gaps)  # evenly among all


def test_short_files_beside_long_ones(folder, tmp_path):
    sizes = [1000, *[4] * 50, 500]
    for index, size in enumerate(sizes):
        np.save(folder / f"{index}.npy", vectors(size, seed=index).numpy())
    run(folder, tmp_path, held_out_share=0.1)
    with open_activations(tmp_path / "mine.h5") as file:
        held = np.bincount(file.split("held_out").document, minlength=52)
        assert (held[0], held[51], held[1:51].sum()) == (100, 50, 20)
        assert set(held[1:51].tolist()) == {0, 4}


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(BadInput, match="nowhere: found no such folder"):
        run(tmp_path / "nowhere", tmp_path)


def test_chunks_of_the_original_code_come_in_natural_order(folder, tmp_path):
    chunks = {
        name: vectors(10, seed=seed).half() for seed, name in enumerate(("0.pt", "2.pt", "9.pt", "10.pt", "11.pt"))
    }
    for name in sorted(chunks):
        torch.save(chunks[name], folder / name)
    run(folder, tmp_path, held_out_share=0.0, dtype="float16")
    with open_activations(tmp_path / "mine.h5") as file:
        assert torch.equal(file.split("train").read(0, 50), torch.cat(list(chunks.values())).float())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_every_float_in_a_chunk_is_read(folder, tmp_path, dtype):
    torch.save(vectors(20).to(dtype), folder / "0.pt")
    run(folder, tmp_path, held_out_share=0.0)
    with open_activations(tmp_path / "mine.h5") as file:
        assert torch.equal(file.split("train").read(0, 20), vectors(20).to(dtype).float())


class Bomb:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


def test_the_bomb_is_live(folder):
    torch.save(Bomb(folder / "bang"), folder / "0.pt")
    torch.load(folder / "0.pt", weights_only=False)
    assert (folder / "bang").exists()


def compressed(path: Path) -> None:
    torch.save(vectors(4), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: torch.save(Bomb(path.parent / "bang"), path), r"something other than a tensor \(nothing in it"),
        (lambda path: path.write_bytes(pickle.dumps(Bomb(path.parent / "bang"))), "an old format, or a damaged file"),
        (lambda path: torch.save({"x": vectors(4)}, path), "a dict; wanted one tensor"),
        (lambda path: torch.save([vectors(4)], path), "a list; wanted one tensor"),
        (lambda path: torch.save(torch.zeros(4), path), r"shape \[4\]"),
        (lambda path: torch.save(torch.zeros(4, 4, dtype=torch.int64), path), "int64"),
        (lambda path: torch.save(vectors(4).to_sparse(), path), "a tensor of layout torch.sparse_coo"),
        (lambda path: torch.save(vectors(4), path, _use_new_zipfile_serialization=False), "an old format"),
        (lambda path: path.write_bytes(b"PK and no more"), "an old format, or a damaged file"),
        (compressed, "a compressed archive"),
    ],
)
def test_a_chunk_that_is_no_tensor_is_refused_and_nothing_in_it_runs(folder, tmp_path, write, message):
    write(folder / "0.pt")
    with pytest.raises(BadInput, match=f"0.pt: found .*{message}|0.pt: found {message}"):
        run(folder, tmp_path)
    assert not (folder / "bang").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_a_chunk_cut_short_anywhere_is_refused(folder, tmp_path):
    torch.save(vectors(4), folder / "0.pt")
    whole = (folder / "0.pt").read_bytes()
    for length in range(0, len(whole), 7):
        (folder / "0.pt").write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"0\.pt: found an old format, or a damaged file"):
            run(folder, tmp_path)


def test_a_chunk_whose_table_of_contents_is_damaged_is_refused(folder, tmp_path):
    torch.save(vectors(4), folder / "0.pt")
    whole = (folder / "0.pt").read_bytes()
    at = whole.rindex(b"/version")  # the last mention of a part's name is in the table at the end
    (folder / "0.pt").write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
    with pytest.raises(BadInput, match=r"0\.pt: found"):
        run(folder, tmp_path)


def test_more_files_than_a_process_may_hold_open(folder, tmp_path):
    for index in range(60):
        np.save(folder / f"{index}.npy", vectors(2).numpy())
        torch.save(vectors(2), folder / f"{index}.pt")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    held = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (held + 40, hard))
    try:
        run(folder, tmp_path, held_out_share=0.0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with open_activations(tmp_path / "mine.h5") as file:
        assert file.split("train").n_rows == 240


def test_one_command_imports_and_says_how_to_use_it(folder, tmp_path, capsys):
    torch.save(vectors(100).half(), folder / "0.pt")
    assert main(["import", str(folder), str(tmp_path / "mine.h5"), "--held-out-share", "0.1"]) == 0
    said = capsys.readouterr().out
    assert "holds 100 vectors of 6 dimensions, 10 of them held out" in said
    assert "imported:\n    mine: " in said
    sections = yaml.safe_load(said.partition("params.yaml:\n\n")[2])
    assert Params.model_validate(sections).activations.imported == {"mine": str(folder)}
    with open_activations(tmp_path / "mine.h5") as file:
        assert file.split("train").n_rows == 90


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine.npy"], "mine.npy: found the ending '.npy'; wanted a file to write that ends in .h5"),
        (["mine.h5", "--site", "My Site"], "--site: found 'My Site'; wanted lower-case letters"),
        (["mine.h5", "--held-out-share", "2"], "--held-out-share: found 2; wanted a share from 0 to 1"),
        (["mine.h5", "--dtype", "int8"], "dtype: found 'int8'; wanted 'float16'"),
    ],
)
def test_a_command_that_cannot_be_followed_is_refused_in_one_line(folder, tmp_path, capsys, arguments, message):
    np.save(folder / "a.npy", vectors(5).numpy())
    output, *options = arguments
    assert main(["import", str(folder), str(tmp_path / output), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: import: ")
    assert message in line
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_something_must_be_left_to_train_on(folder, tmp_path):
    np.save(folder / "a.npy", vectors(5).numpy())
    with pytest.raises(BadInput, match="mine: train: found 0 vectors"):
        run(folder, tmp_path, held_out_share=1)

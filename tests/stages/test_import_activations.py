"""A folder of vectors made elsewhere, as an activations file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sparse_coding.errors import BadInput
from sparse_coding.io.activations import open_activations
from sparse_coding.params import Activations
from sparse_coding.slices import ImportSlice
from sparse_coding.stages import import_activations


def run(folder: Path, output: Path, held_out_share: float = 0.2, dtype: str = "float32") -> None:
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
    run(folder, tmp_path / "mine.h5")
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
    run(folder, tmp_path / "mine.h5", held_out_share=0)
    with open_activations(tmp_path / "mine.h5") as file:
        assert list(file.splits) == ["train"]


def bad_value(value: float) -> np.ndarray:
    array = vectors(40).numpy()
    array[31, 2] = value
    return array


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "given: found no .npy or .safetensors file"),
        ({"a.npy": b"hello"}, "a.npy: found a file that numpy cannot read"),
        ({"a.npy": np.zeros(5)}, r"a.npy: found shape \[5\]"),
        ({"a.npy": np.zeros((2, 3, 4))}, r"a.npy: found shape \[2, 3, 4\]"),
        ({"a.npy": np.zeros((5, 6), dtype=int)}, "a.npy: found .*int64"),
        ({"a.npy": np.array([["x"]], dtype=object)}, "a.npy: found a file that numpy cannot read"),
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
        run(folder, tmp_path / "mine.h5", held_out_share=0.1, dtype="float16")
    assert [path.name for path in tmp_path.iterdir()] == ["given"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(BadInput, match="nowhere: found no such folder"):
        run(tmp_path / "nowhere", tmp_path / "mine.h5")


def test_something_must_be_left_to_train_on(folder, tmp_path):
    np.save(folder / "a.npy", vectors(5).numpy())
    with pytest.raises(BadInput, match="mine: train: found 0 vectors"):
        run(folder, tmp_path / "mine.h5", held_out_share=1)

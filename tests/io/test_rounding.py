"""What a number format loses of vectors is measured while they are written, against float64."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from sparse_coding.errors import BadInput
from sparse_coding.io.activations import ActivationsWriter, Header, open_activations, rounding
from sparse_coding.io.activations.layout import TORCH_DTYPES, seal
from sparse_coding.io.activations.rounding import Rounding

D_ACT = 12


def sparse(n: int = 3000) -> torch.Tensor:
    """Sums of few of 24 directions."""
    draw = np.random.default_rng(0)
    atoms = draw.normal(size=(24, D_ACT))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = (draw.random((n, 24)) < 0.12) * draw.random((n, 24))
    return torch.from_numpy(codes @ atoms).float()


def at(dimension: int, value: float) -> torch.Tensor:
    return torch.eye(D_ACT)[dimension] * value


def lost(vectors: torch.Tensor, dtype: str) -> float:
    exact = vectors.double()
    return variance(vectors.to(TORCH_DTYPES[dtype]).double() - exact) / variance(exact)


def variance(exact: torch.Tensor) -> float:
    return float((exact - exact.mean(0)).square().sum())


def write(path: Path, vectors: torch.Tensor, dtype: str = "float16") -> Path:
    columns = np.arange(len(vectors))
    with ActivationsWriter(path, Header("mine", "", "here", dtype, D_ACT, 64), {"train": len(vectors)}) as writer:
        for part in columns[::1000]:
            rows = slice(part, part + 1000)
            writer.append("train", vectors[rows], columns[rows], columns[rows], columns[rows])
    return path


CASES = {
    "as they are": (sparse(), "float16"),
    "small": (sparse() * 1e-6, "float16"),
    "in bfloat16": (sparse(), "bfloat16"),
    "far from 0": (sparse() + at(2, 300), "float16"),
    "a first vector far from the others": (torch.cat([at(0, 3e4)[None], sparse()]), "float16"),
    "the same, then others": (torch.cat([sparse()[:1].expand(5000, -1), sparse()]), "float16"),
    "tiny, then others": (torch.cat([sparse(5000) * 1e-25, sparse()]), "bfloat16"),
    "a dimension that is one value": (sparse() * (1 - at(2, 1).sign()) + at(2, 5001.3), "float16"),
    "one dimension larger": (sparse() * (1 + at(3, 1000)), "bfloat16"),
}


@pytest.mark.parametrize("rows", [7, 4096])
@pytest.mark.parametrize("case", CASES)
def test_the_share_is_that_of_float64(case: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "ROWS", rows)
    vectors, dtype = CASES[case]
    measured = Rounding("here", dtype, D_ACT)
    for part in vectors.split(1000):
        measured.add(part, part.to(TORCH_DTYPES[dtype]))
    assert measured.spread.n_rows == len(vectors)
    assert measured.spread.squares / measured.scale**2 == pytest.approx(variance(vectors.double()), rel=1e-4)
    assert measured.lost.squares / measured.spread.squares == pytest.approx(lost(vectors, dtype), rel=1e-3)


@pytest.mark.parametrize(
    ("vectors", "dtype", "share"),
    [
        (sparse() * 1e-7, "float16", r"3\d\.?\d*"),
        (sparse() * 1e-8, "float16", r"1\d\d"),
        (sparse() * 1e-30, "float16", None),
        (sparse() + at(2, 3000), "float16", r"[\d.]+"),
        (sparse() + at(2, 300), "bfloat16", r"[\d.]+"),
    ],
)
def test_more_than_a_hundredth_lost_is_refused_with_what_loses_nothing(
    tmp_path: Path, vectors: torch.Tensor, dtype: str, share: str | None
) -> None:
    message = rf"mine: train: found a rounding error of {share} % of the variance in {dtype}; wanted at most 1 %: acti"
    if share is None:
        message = "mine: train: found vectors that are .* from their mean, in the root mean square; wanted 1e-15 to"
    else:
        assert lost(vectors, dtype) > 0.01
        write(tmp_path / "float32.h5", vectors, "float32").unlink()
    with pytest.raises(BadInput, match=message):
        write(tmp_path / "a.h5", vectors, dtype)
    assert not list(tmp_path.iterdir())


def test_some_that_is_lost_is_said_and_little_is_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "a.h5", sparse())
    assert capsys.readouterr().err == ""
    write(tmp_path / "b.h5", sparse() * 1e-6)
    said = "mine: train: a rounding error of 0.385 % of the variance in float16; activations.dtype: float32 has none\n"
    assert capsys.readouterr().err == said


def test_the_rounding_of_a_constant_is_no_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is in the stored mean, too."""
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(8000, D_ACT))).float()
    vectors[:, 0] = 5001.3
    write(tmp_path / "a.h5", vectors)
    assert capsys.readouterr().err == ""


def test_tiny_vectors_before_the_others_are_taken(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", torch.cat([sparse(5000) * 1e-25, sparse()]), "float32")


@pytest.mark.parametrize("dtype", TORCH_DTYPES)
@pytest.mark.parametrize("n", [1, 2500])
def test_vectors_that_do_not_vary_are_refused(tmp_path: Path, dtype: str, n: int) -> None:
    with pytest.raises(BadInput, match=rf"mine: train: found vectors that do not vary: all {n} are the same; wanted"):
        write(tmp_path / "a.h5", (torch.arange(12) / 10).expand(n, -1), dtype)
    assert not list(tmp_path.iterdir())


def test_one_vector_that_differs_is_enough(tmp_path: Path) -> None:
    vectors = torch.ones(2500, D_ACT)
    vectors[2400, 3] = 1.5
    with open_activations(write(tmp_path / "a.h5", vectors)) as file:
        assert file.mean_norm > 0


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_what_float32_cannot_square_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(BadInput, match=r"mine: train: found vectors that are .*e[+-]2\d from their mean, in the root"):
        write(tmp_path / "a.h5", sparse() * scale, "float32")


def test_an_older_file_whose_vectors_do_not_vary_is_refused(tmp_path: Path) -> None:
    with h5py.File(write(tmp_path / "a.h5", sparse()), "r+") as file:
        file.attrs["mean_norm"] = 0.0
        file.attrs["seal"] = seal(file)
    with (
        pytest.raises(BadInput, match=r"a\.h5: found vectors of mine that do not vary; wanted vectors that differ"),
        open_activations(tmp_path / "a.h5"),
    ):
        pass

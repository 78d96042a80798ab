"""tokens.h5: what is written comes back, and nothing damaged does."""

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparse_coding.errors import BadInput
from sparse_coding.io import tokens as tokens_file
from sparse_coding.io.tokens import Blocks, Tokens


def example(
    bos: int | None = 0, special: tuple[int, ...] = (0,), vocabulary: tuple[str, ...] = ("", " a", "\0")
) -> Tokens:
    random = np.random.default_rng(0)

    def rows(*shape: int) -> np.ndarray:
        return random.integers(0, len(vocabulary), shape, dtype=np.int32)

    return Tokens(
        train=Blocks(rows(5, 8), rows(5, 8)),
        held_out=Blocks(rows(2, 8), rows(2, 8)),
        fragments=rows(3, 4 + (bos is not None)),
        fragments_document=rows(3),
        vocabulary=list(vocabulary),
        model="models/example",
        corpus="example",
        bos=bos,
        special=special,
        seed=3,
        corpus_sha256="ab" * 32,
        leak=0.125,
        n_documents_train=7,
        n_documents_held_out=2,
        n_documents_fragments=1,
    )


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    bos=st.none() | st.integers(0, 3),
    special=st.sets(st.integers(0, 50_000), max_size=3),
    words=st.lists(st.text(max_size=4), min_size=1, max_size=6),
)
def test_what_is_saved_comes_back(tmp_path: Path, bos: int | None, special: set[int], words: list[str]) -> None:
    written = example(bos, tuple(sorted(special)), tuple(words))
    tokens_file.save(tmp_path / "tokens.h5", written)
    read = tokens_file.load(tmp_path / "tokens.h5")
    for name in ("vocabulary", "model", "corpus", "bos", "special", "seed", "corpus_sha256", "leak", "context"):
        assert getattr(read, name) == getattr(written, name), name
    assert (read.n_documents_train, read.n_documents_held_out, read.n_documents_fragments) == (7, 2, 1)
    assert read.fragment_tokens == 4
    np.testing.assert_array_equal(read.train.tokens, written.train.tokens)
    np.testing.assert_array_equal(read.train.document, written.train.document)
    np.testing.assert_array_equal(read.held_out.tokens, written.held_out.tokens)
    np.testing.assert_array_equal(read.held_out.document, written.held_out.document)
    np.testing.assert_array_equal(read.fragments, written.fragments)
    np.testing.assert_array_equal(read.fragments_document, written.fragments_document)
    assert type(read.seed) is int
    assert type(read.leak) is float


def test_what_is_written_only_where_it_is_known_comes_back(tmp_path: Path) -> None:
    plain = example()
    counted = replace(plain, train_on_special=True, n_tokens_train=7, n_documents_read_held_out=0)
    for name, written in (("plain", plain), ("counted", counted)):
        tokens_file.save(tmp_path / name, written)
        read = tokens_file.load(tmp_path / name)
        assert read.train_on_special is written.train_on_special
        assert (read.n_tokens_train, read.n_tokens_held_out) == (written.n_tokens_train, None)
        assert read.n_documents_read_held_out == written.n_documents_read_held_out
    with h5py.File(tmp_path / "plain") as file, h5py.File(tmp_path / "counted") as other:
        more = {"train_on_special", "n_tokens_train", "n_documents_read_held_out"}
        assert set(other.attrs) - set(file.attrs) == more


def test_text_is_what_is_not_special() -> None:
    tokens = example(special=(0, 2))
    np.testing.assert_array_equal(tokens.is_text(np.array([[0, 1], [2, 3]])), [[False, True], [False, True]])
    assert example(special=()).is_text(np.array([0, 1])).all()


def test_bytes_depend_on_the_content_alone(tmp_path: Path) -> None:
    for name in ("a.h5", "b.h5"):
        tokens_file.save(tmp_path / name, example())
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_missing_cut_or_foreign_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tokens.h5"
    with pytest.raises(BadInput, match=r"tokens\.h5: found no such file"):
        tokens_file.load(path)
    tokens_file.save(path, example())
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"tokens\.h5"):
            tokens_file.load(path)
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(BadInput, match="found format None; wanted 'sparse_coding tokens 1'"):
        tokens_file.load(path)


@pytest.mark.parametrize("place", ["train/tokens", "fragments/document", "vocabulary", "leak", "context"])
def test_an_edit_is_noticed(tmp_path: Path, place: str) -> None:
    path = tmp_path / "tokens.h5"
    tokens_file.save(path, example())
    with h5py.File(path, "r+") as file:
        if place == "vocabulary":
            file[place][()] = '["", " b", "c"]'
        elif "/" in place:
            file[place][0] += 1
        else:
            file.attrs[place] = file.attrs[place] * 2
    with pytest.raises(BadInput, match="changed after it was written"):
        tokens_file.load(path)


def test_a_missing_part_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "tokens.h5"
    tokens_file.save(path, example())
    with h5py.File(path, "r+") as file:
        del file["held_out/tokens"]
    with pytest.raises(BadInput, match=r"tokens\.h5: found a damaged file"):
        tokens_file.load(path)

"""Pointers of git-lfs are told from the files that they stand for."""

from pathlib import Path

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.files.lfs import refuse_pointer

# What `git lfs clean` writes, by its specification.
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n"
)


def test_a_pointer_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "texts.parquet").write_text(POINTER)
    with pytest.raises(BadInput, match=r"texts\.parquet: found a pointer of git-lfs .*; wanted .*`git lfs pull`"):
        refuse_pointer(tmp_path / "texts.parquet")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"version 2\nsize 3\n", b"A page about " + POINTER.encode()])
def test_other_files_pass(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    refuse_pointer(tmp_path / "file")


def test_what_cannot_be_opened_passes(tmp_path: Path) -> None:
    refuse_pointer(tmp_path / "nowhere")
    refuse_pointer(tmp_path)

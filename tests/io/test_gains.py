"""io/gains.py: gains belong to one file, and their bytes depend on both alone."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sparse_coding.errors import BadInput
from sparse_coding.io import gains


@pytest.fixture
def dictionary(tmp_path: Path) -> Path:
    """Any file: its bytes are what counts."""
    (tmp_path / "dictionary").write_bytes(b"bytes")
    return tmp_path / "dictionary"


@pytest.mark.parametrize(
    "gain",
    [
        torch.linspace(0, 2, 5),
        torch.linspace(0, 2, 10)[::2],
        torch.nn.Parameter(torch.ones(1)),
        torch.linspace(0, 2, 5, dtype=torch.bfloat16),
    ],
)
def test_gains_come_back(dictionary, gain, tmp_path):
    gains.save(tmp_path / "one", gain, dictionary)
    gains.save(tmp_path / "two", gain.clone(), dictionary)
    found = gains.load(tmp_path / "one", dictionary)
    assert found.dtype == gain.dtype
    assert torch.equal(found, gain.detach())
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_those_of_another_file_and_of_none_are_refused(dictionary, tmp_path):
    gains.save(tmp_path / "one", torch.ones(5), dictionary)
    dictionary.write_bytes(b"other bytes")
    with pytest.raises(BadInput, match=r"found gains of another dictionary; wanted those of .*dictionary"):
        gains.load(tmp_path / "one", dictionary)
    for header in ("[1]", "3", "{}", '{"format": "sparse_coding gain refit 1"}'):
        save_file({"gain": torch.ones(5)}, tmp_path / "one", {"sparse_coding": header})
        with pytest.raises(BadInput, match=r"one: found (format .*; wanted 'sparse_coding gain|gains of another)"):
            gains.load(tmp_path / "one", dictionary)

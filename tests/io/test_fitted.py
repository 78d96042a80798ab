"""io/fitted.py: what is fitted belongs to one file and one variant, and its bytes depend on these alone."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sparse_coding.errors import BadInput
from sparse_coding.io import fitted


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
def test_it_comes_back(dictionary, gain, tmp_path):
    parts = {"gain": gain, "threshold": torch.tensor([0.25])}
    fitted.save(tmp_path / "one", "threshold_refit", parts, dictionary)
    fitted.save(
        tmp_path / "two", "threshold_refit", {"threshold": parts["threshold"], "gain": gain.clone()}, dictionary
    )
    found = fitted.load(tmp_path / "one", "threshold_refit", dictionary)
    assert found["gain"].dtype == gain.dtype
    assert torch.equal(found["gain"], gain.detach())
    assert torch.equal(found["threshold"], parts["threshold"])
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_those_of_another_file_and_of_none_are_refused(dictionary, tmp_path):
    fitted.save(tmp_path / "one", "gain_refit", {"gain": torch.ones(5)}, dictionary)
    with pytest.raises(BadInput, match=r"found format 'sparse_coding gain refit 1'; wanted 'sparse_coding threshold"):
        fitted.load(tmp_path / "one", "threshold_refit", dictionary)
    dictionary.write_bytes(b"other bytes")
    with pytest.raises(BadInput, match=r"found the gain refit of another dictionary; wanted that of .*dictionary"):
        fitted.load(tmp_path / "one", "gain_refit", dictionary)
    for header in ("[1]", "3", "{}", '{"format": "sparse_coding gain refit 1"}'):
        save_file({"gain": torch.ones(5)}, tmp_path / "one", {"sparse_coding": header})
        with pytest.raises(BadInput, match=r"one: found (format .*; wanted 'sparse_coding gain|the gain refit of ano)"):
            fitted.load(tmp_path / "one", "gain_refit", dictionary)


def test_the_gains_of_a_version_before_are_read(dictionary, tmp_path):
    """As io/gains.py wrote them, when there was no other variant: the same bytes."""
    fitted.save(tmp_path / "new", "gain_refit", {"gain": torch.ones(5)}, dictionary)
    sha256 = "277089d91c0bdf4f2e6862ba7e4a07605119431f5d13f726dd352b06f1b206a9"  # of b"bytes"
    header = f'{{"dictionary_sha256": "{sha256}", "format": "sparse_coding gain refit 1"}}'
    save_file({"gain": torch.ones(5)}, tmp_path / "old", {"sparse_coding": header})
    assert (tmp_path / "old").read_bytes() == (tmp_path / "new").read_bytes()

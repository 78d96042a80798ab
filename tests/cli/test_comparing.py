"""`sparse_coding compare`: what two dictionaries share, and what they differ in."""

import json

import pytest
import torch

from sparse_coding.cli import commands
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries
from tests.formats.test_golden import GOLDEN
from tests.using.test_edits import made


@pytest.fixture
def two(tmp_path, monkeypatch):
    """The second has the features of the first in another order, the last ten of them replaced."""
    monkeypatch.chdir(tmp_path)
    one = made(d_in=12, n_feat=40)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    tensors = {name: each if name == "centre" else each[order] for name, each in one.tensors.items()}
    tensors["decoder"][30:] = made(d_in=12, n_feat=40, seed=8).atoms[30:]
    for name, dictionary, l1 in (("a", one, 0.1), ("b", Dictionary(**tensors), 0.2)):
        told = {"site": "here", "architecture": "tied", "training": {"steps": 5, "l1": l1}}
        dictionaries.save(tmp_path / "results" / "dictionaries" / "here" / f"{name}.safetensors", dictionary, told)
    return order


def test_features_in_common_are_counted_and_named(two):
    found = json.loads(commands.compare("here/a", "here/b", json=True))
    assert found["settings"] == {"training.l1": [0.1, 0.2]}
    assert found["measured"]["fvu"] == [None, None]
    features = found["features"]
    assert features["at_least"]["0.9"][0] >= 30
    same = {(int(old), new) for new, old in enumerate(two.tolist()) if new < 30}
    assert same <= {(one, other) for one, other, cosine in features["pairs"] if cosine == 1}
    assert features["mutual"][0] == features["mutual"][1] == len(features["pairs"])


def test_in_words(two):
    said = commands.compare("here/a", "here/b")
    assert "training.l1: 0.1  |  0.2" in said
    assert "Features, 40  |  40" in said
    assert commands.compare("here/a", "here/a").count("40 (100%)  |  40 (100%)") == 3


def test_one_of_another_library_and_of_another_width(two):
    golden = str(GOLDEN / "saelens" / "standard")
    assert "Features, 40  |  20" in commands.compare("here/a", golden)
    assert "spaces of other widths" in commands.compare("here/a", str(GOLDEN / "saelens" / "transcoder"))
    with pytest.raises(BadInput, match="SITE/NAME of a dictionary in results, as here/a, here/b, or a path"):
        commands.compare("here/a", "here/c")

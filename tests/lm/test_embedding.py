import json
import shutil
import string

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer, BertModel

from sparse_coding.errors import BadInput
from sparse_coding.lm.embedding import Embedder
from sparse_coding.settings import outside
from tests.tiny_model import make_tiny_embedder

TEXTS = st.lists(st.text(string.printable, max_size=60) | st.just("return the lines of a file; " * 20), min_size=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_embedder(tmp_path_factory.mktemp("embedder") / "tiny")


@pytest.fixture(scope="module")
def embedder(folder):
    return Embedder(folder)


@pytest.fixture(scope="module")
def bert(folder):
    """Transformers' own forward pass of one text, with nothing beside it; mean and length by hand."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    assert (type(model), tokenizer.pad_token, tokenizer.model_max_length) == (BertModel, "[PAD]", 96)

    def vector(text):
        with torch.no_grad():
            states = model(**tokenizer(text, truncation=True, return_tensors="pt")).last_hidden_state[0]
        assert 2 <= len(states) <= 96
        return (states.mean(0) / states.mean(0).norm()).numpy()

    return vector


@given(TEXTS)
def test_a_text_is_the_mean_of_its_tokens_whatever_stands_beside_it(embedder, bert, texts):
    """Texts of other lengths pad it; the longest are cut where the model has no more places."""
    found = embedder(texts)
    assert found == pytest.approx(np.stack([bert(text) for text in texts]), abs=1e-5)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(len(texts)))


def test_different_texts_are_different(embedder):
    found = embedder(["def run(path)", "run(path) def", "raise OSError", "None"])
    assert np.triu(found @ found.T, 1).max() < 0.999


def test_other_weights_are_another_embedder_and_another_leaf(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert Embedder(copy).digest == Embedder(folder).digest
    (copy / "README.md").write_text("about it")
    files = outside.embedder(str(copy)).files
    assert {str(copy / name) for name in ("config.json", "model.safetensors", "tokenizer.json")} <= set(files)
    assert str(copy / "README.md") not in files
    assert Embedder(copy).digest == Embedder(folder).digest
    content = bytearray((copy / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "model.safetensors").write_bytes(content)
    assert Embedder(copy).digest != Embedder(folder).digest


def no_config(folder):
    (folder / "config.json").unlink()


def no_weights(folder):
    (folder / "model.safetensors").unlink()


def other_pooling(folder):
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))


def more_layers(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (no_config, "no config.json"),
        (no_weights, "OSError"),
        (other_pooling, "another pooling"),
        (more_layers, "weights without encoder.layer.2"),
    ],
)
def test_what_is_no_such_model_is_refused(folder, tmp_path, spoil, found):
    copy = shutil.copytree(folder, tmp_path / "copy")
    spoil(copy)
    with pytest.raises(BadInput, match=found):
        Embedder(copy)

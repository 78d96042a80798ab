import json
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from sparse_coding import leaves
from sparse_coding.errors import BadInput
from sparse_coding.lm.embedding import Embedder
from tests.tiny_model import make_tiny_embedder

TEXTS = ["def run(path)", "return the lines of a file, or None where it is missing", "; " * 400]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_embedder(tmp_path_factory.mktemp("embedder") / "tiny")


def test_a_text_is_the_mean_of_its_tokens_whatever_stands_beside_it(folder):
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    found = Embedder(folder)(TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        ids = tokenizer(text)["input_ids"][:96]  # what the model has places for
        with torch.no_grad():
            mean = model(torch.tensor([ids])).last_hidden_state[0].mean(0)
        assert vector == pytest.approx((mean / mean.norm()).numpy(), abs=1e-5)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(3))


def test_other_weights_are_another_embedder_and_another_leaf(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert Embedder(copy).digest == Embedder(folder).digest
    (copy / "README.md").write_text("about it")
    files = leaves.embedder(str(copy)).files
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
    (folder / "1_Pooling").mkdir()
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

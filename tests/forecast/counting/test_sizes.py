"""Sizes on paper against files that were written."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoConfig

from sparse_coding import methods
from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty
from sparse_coding.errors import BadInput
from sparse_coding.forecast.counting import disk, imported, safetensors_head, shapes
from sparse_coding.forecast.counting.vectors import Rows, Sizes
from sparse_coding.io import dictionaries
from sparse_coding.io.activations import ActivationsWriter, Header
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings import outside, slices
from sparse_coding.settings.params import Model, Params, own_section
from sparse_coding.settings.sites import LOCATIONS, Site
from tests.tiny_model import make_tiny_model

KILOBYTE = 1000


@pytest.mark.parametrize("architecture", methods.LEARNED)
def test_a_dictionary(architecture, tmp_path):
    """So many features that a vector of numbers for them is more than what a header may be off."""
    d_in = 32 if methods.of(architecture).pairs else None
    module = build(architecture, own_section(architecture)().model_dump(mode="json"), d_in)
    made = module.init(960, 32 if d_in is None else 64, torch.Generator().manual_seed(0))
    made |= {name: matrix + 0.1 for name, matrix in made.items() if name == "encoder"}  # as training parts them
    penalty = Penalty(l1=0.1, k=4)
    folded = module.fold(made, module.state(made), torch.zeros(32 if d_in is None else 64), 1.0, penalty)
    dictionaries.save(tmp_path / "d.safetensors", folded, {"site": "s"})
    wanted = disk.dictionary_bytes(960, 32, architecture)
    assert (tmp_path / "d.safetensors").stat().st_size == pytest.approx(wanted, abs=KILOBYTE)


def test_features_and_tables_follow_from_settings_and_from_no_name(tmp_path):
    np.save(tmp_path / "v.npy", np.zeros((500, 12), np.float32))
    own = {
        "grid": {"sites": ["mine"], "architectures": ["tied", "topk"], "ratios": [0.5, 4], "l1": [0.002], "k": [2]},
        "activations": {"imported": {"mine": str(tmp_path)}},
        "baselines": {"topk": [3]},
    }
    params = Params.model_validate(own)
    sizes, members = Sizes(params), slices.evaluation(params, "mine").members
    features = {name: sizes.features("mine", row.kind, row.ratio) for name, row in members.items()}
    wanted = {"tied_r0.5_l1-0.002_s0": 6, "topk_r4_k2_s0": 48, "nmf": 12, "pca": 24, "pca_top3": 24, "random": 24}
    assert wanted.items() <= features.items()
    assert sizes.features("mine", "jumprelu", 4) == 48
    assert disk._of_site(sizes, "mine") == (sum(features.values()), 4 + len(features))  # four of them are refitted


@pytest.mark.parametrize(("dtype", "size"), [("float16", 2), ("float32", 4)])
def test_activations(dtype, size, tmp_path):
    rows = Rows(train=5000, held_out=700, fragments=3)
    header = Header("layer0_residual", "m", "c", dtype, d_act=48, block_rows=512)
    with ActivationsWriter(tmp_path / "a.h5", header, vars(rows)) as writer:
        for split, n in vars(rows).items():
            writer.append(split, torch.randn(n, 48), *3 * [np.zeros(n, np.int32)])
    wanted = disk.activations_bytes(rows, 48, size, 512)
    assert (tmp_path / "a.h5").stat().st_size == pytest.approx(wanted, abs=4 * disk.PAGE)


def test_the_shape_of_a_model_is_what_its_weights_have(tmp_path):
    make_tiny_model(tmp_path / "tiny", layers=3, d_model=32, vocabulary=300)
    shape = shapes.of_params(Params(model=Model(name=str(tmp_path / "tiny"))))
    model = LanguageModel.load(Model(name=str(tmp_path / "tiny")))
    parameters = sum(each.numel() for each in model._network.parameters())
    assert (shape.layers, shape.begins) == (3, True)
    assert shape.parameters == pytest.approx(parameters, rel=0.05)  # of the files, with their heads
    for location in LOCATIONS:
        site = Site(1, location)
        assert shape.width(location) == model.widths([site])[site], location
    (tmp_path / "tiny" / "model.safetensors").unlink()
    guessed = shapes.of_params(Params(model=Model(name=str(tmp_path / "tiny"))))
    assert guessed.parameters == pytest.approx(parameters, rel=0.05)


def test_a_model_of_the_hub_that_was_never_here_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    params = Params(model=Model(name="someone/model", revision="abc"))
    with pytest.raises(BadInput, match=r"model someone/model: found no config at abc on this machine; wanted"):
        shapes.of_params(params)
    config = {"hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 100, "num_attention_heads": 4, "head_dim": 32}
    place = tmp_path / "models--someone--model" / "snapshots" / "abc"
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config))
    assert shapes.of_params(params).width("attn") == 128


def test_a_model_that_is_to_be_made_has_the_shape_of_its_section(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    params = Params.model_validate({"transformer": {"name": "new", "d_model": 48}, "model": {"name": "models/new"}})
    assert outside.makes_model(params)
    assert shapes.of_params(params).width("mlp") == 192


def test_imported_vectors_say_their_shape_in_their_heads(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros((7, 5), np.float32))
    save_file({"x": torch.zeros(11, 5)}, tmp_path / "two.safetensors")
    assert imported.rows_and_width(str(tmp_path)) == (18, 5)
    sizes = Sizes(
        Params.model_validate({"activations": {"imported": {"mine": str(tmp_path)}}, "grid": {"sites": ["mine"]}})
    )
    assert sizes.width("mine") == 5
    assert sizes.rows("mine").all == 18
    (tmp_path / "one.npy").unlink()
    (tmp_path / "two.safetensors").rename(tmp_path / "two.pt")
    with pytest.raises(BadInput, match=r"no \.npy or \.safetensors"):
        imported.rows_and_width(str(tmp_path))


def test_nothing_on_paper_reads_the_weights(tmp_path):
    make_tiny_model(tmp_path / "tiny")
    weights = tmp_path / "tiny" / "model.safetensors"
    weights.write_bytes(bytes(weights.stat().st_size))
    assert shapes.of_params(Params(model=Model(name=str(tmp_path / "tiny")))).layers == 3
    assert Path(weights).exists()


@pytest.mark.parametrize("kind", ["llama", "gpt_neox", "gpt2", "gemma2", "opt", "qwen2", "bert"])
def test_a_head_of_its_own_counts_where_its_kind_has_one(kind, tmp_path):
    """The oracle is what transformers takes for a configuration that does not say."""
    config = {"model_type": kind, "hidden_size": 8, "num_hidden_layers": 1, "vocab_size": 1000}
    (tmp_path / "config.json").write_text(json.dumps(config))
    own = AutoConfig.for_model(kind).tie_word_embeddings
    counted = [_counted(tmp_path, config | more) for more in ({}, {"tie_word_embeddings": own})]
    assert counted[0] == counted[1]
    assert _counted(tmp_path, config | {"tie_word_embeddings": False}) == 8000 + _counted(
        tmp_path, config | {"tie_word_embeddings": True}
    )


def _counted(folder: Path, config: dict) -> int:
    (folder / "config.json").write_text(json.dumps(config))
    return shapes.of_params(Params(model=Model(name=str(folder)))).parameters


@pytest.mark.parametrize("head", [b"", b"xy", b"\xff" * 8, b"\xff" * 6 + b"\0\0ab", b"\x02\0\0\0\0\0\0\0[]"])
def test_a_file_of_vectors_without_a_head_is_passed_over(head, tmp_path):
    (tmp_path / "a.safetensors").write_bytes(head)
    save_file({"x": torch.zeros(11, 5)}, tmp_path / "b.safetensors")
    assert imported.rows_and_width(str(tmp_path)) == (11, 5)
    with pytest.raises(ValueError, match=r"."):
        safetensors_head.read(tmp_path / "a.safetensors")
    found = safetensors_head.read(tmp_path / "b.safetensors")
    assert (found.shapes, found.size) == ({"x": (11, 5)}, found.wanted)

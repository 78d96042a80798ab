"""A local model's folder before a run: what it lacks is said, and what loads is never refused."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer

from sparse_coding.errors import BadInput
from sparse_coding.forecast.counting import model_folder
from sparse_coding.lm.model import LanguageModel
from sparse_coding.lm.tokenizing import _loaded
from sparse_coding.settings.params import Model, Params, Transformer
from tests.checkpoints import CONFIGS, ENCODERS, make_checkpoint

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4665a5ea\nsize 90868376\n"
KNOWN = ["neox", "gpt2", "llama", "qwen2", "gemma2", "olmo2", "bloom", "opt", *ENCODERS]


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("folders")
    return {name: make_checkpoint(root / name, name) for name in [*CONFIGS, *ENCODERS]}


def of(folder: Path) -> Params:
    return Params.model_validate({"model": {"name": str(folder)}, "grid": {"sites": ["layer1_residual"]}})


def rewritten(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / "model.safetensors")


@pytest.mark.parametrize("name", [*CONFIGS, *ENCODERS])
def test_a_whole_folder_passes_with_its_head_and_without(name, folders, tmp_path):
    model_folder.check(of(folders[name]))
    AutoModel.from_pretrained(folders[name]).save_pretrained(tmp_path)
    model_folder.check(of(tmp_path))


@pytest.mark.parametrize("name", KNOWN)
def test_each_tensor_that_transformers_would_fill_with_random_numbers_is_missed(name, folders, tmp_path):
    """The oracle is what transformers says of the same folder, for each tensor of the first block and all others."""
    folder = Path(shutil.copytree(folders[name], tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    blocks = re.compile(r"\.(\d+)\.")
    missed = 0
    for dropped in weights:
        in_block = blocks.search(dropped)
        if in_block and in_block[1] != "1":
            continue
        rewritten(folder, {kept: tensor for kept, tensor in weights.items() if kept != dropped})
        if in_block or "embed" in dropped or "wte" in dropped:
            with pytest.raises(
                BadInput, match=rf"weights without 1 of its tensors \({re.escape(dropped)}\); wanted whole"
            ):
                model_folder.check(of(folder))
            missed += 1
            continue
        try:
            model_folder.check(of(folder))
        except BadInput:
            kind = AutoModelForMaskedLM if name in ENCODERS else AutoModelForCausalLM
            assert dropped in kind.from_pretrained(folder, output_loading_info=True)[1]["missing_keys"]
    assert missed > 8


def test_what_transformers_renames_is_not_missed(folders, tmp_path):
    folder = Path(shutil.copytree(folders["bert"], tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    old = {re.sub(r"LayerNorm\.weight$", "LayerNorm.gamma", name): tensor for name, tensor in weights.items()}
    rewritten(folder, old)
    model_folder.check(of(folder))
    LanguageModel.load(Model(name=str(folder)))


def test_shards_and_their_index(folders, tmp_path):
    whole = AutoModelForCausalLM.from_pretrained(folders["llama"])
    whole.save_pretrained(tmp_path, max_shard_size="60KB")
    AutoTokenizer.from_pretrained(folders["llama"]).save_pretrained(tmp_path)
    shards = sorted(tmp_path.glob("*-of-*.safetensors"))
    assert len(shards) > 1
    model_folder.check(of(tmp_path))
    kept = shards[0].read_bytes()
    shards[0].write_bytes(kept[:-10])
    with pytest.raises(BadInput, match=rf"{shards[0].name}: found [\d,]+ bytes of [\d,]+: it was cut short"):
        model_folder.check(of(tmp_path))
    shards[0].unlink()
    with pytest.raises(
        BadInput, match=rf"{shards[0].name}: found no such file, though model\.safetensors\.index\.json"
    ):
        model_folder.check(of(tmp_path))
    shards[0].write_bytes(POINTER.encode())
    with pytest.raises(BadInput, match=rf"{shards[0].name}: found a pointer of git-lfs"):
        model_folder.check(of(tmp_path))
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    shards[0].write_bytes(kept)
    with pytest.raises(BadInput, match=r"index\.json: found a damaged index"):
        model_folder.check(of(tmp_path))


def test_no_weights_or_weights_that_are_none(folders, tmp_path):
    folder = Path(shutil.copytree(folders["neox"], tmp_path / "model"))
    for damaged in (b"", b"xy", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]", b'\x09\0\0\0\0\0\0\0{"a": 1}.'):
        (folder / "model.safetensors").write_bytes(damaged)
        with pytest.raises(
            BadInput, match=r"model\.safetensors: found no safetensors file \(.+\); wanted whole weights"
        ):
            model_folder.check(of(folder))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        BadInput, match=r"found neither model\.safetensors nor .*; wanted weights in safetensors format"
    ):
        model_folder.check(of(folder))


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
def test_a_pointer_of_git_lfs_is_named_before_a_run_and_by_what_loads(file, folders, tmp_path):
    folder = Path(shutil.copytree(folders["neox"], tmp_path / "model"))
    (folder / "onnx").mkdir()
    for unread in (
        "onnx/model.onnx",
        "model.fp16.safetensors",
        "pytorch_model.bin",
        "flax_model.msgpack",
    ):  # not read, so nobody's business
        (folder / unread).write_text(POINTER)
    model_folder.check(of(folder))
    (folder / file).write_text(POINTER)
    message = rf"{file}: found a pointer of git-lfs instead of the file; wanted .*`git lfs pull`"
    with pytest.raises(BadInput, match=message):
        model_folder.check(of(folder))
    with pytest.raises(BadInput, match=message):
        LanguageModel.load(Model(name=str(folder)))
    with pytest.raises(BadInput, match=message):
        _loaded(Transformer(tokenizer=str(folder)))


def test_what_is_not_here_is_not_held_against_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model_folder.check(of(Path("someone/on-the-hub")))
    vectors = {
        "grid": {"sites": ["own"]},
        "activations": {"imported": {"own": "vectors"}},
        "model": {"name": "nowhere"},
    }
    model_folder.check(Params.model_validate(vectors))
    (tmp_path / "models" / "mine").mkdir(parents=True)  # to be trained here
    model_folder.check(Params.model_validate({"model": {"name": "models/mine"}, "transformer": {"name": "mine"}}))


def test_checks_before_a_run_need_no_torch():
    names = "from sparse_coding.forecast.counting import fits, model_folder"
    code = f"import sys; {names}; print({{'torch', 'numpy'}} & {{*sys.modules}})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_head_that_the_configuration_does_not_name_may_be_missing(folders, tmp_path):
    folder = Path(shutil.copytree(folders["neox"], tmp_path / "model"))
    weights = load_file(folder / "model.safetensors")
    rewritten(folder, {name: tensor for name, tensor in weights.items() if name != "embed_out.weight"})
    with pytest.raises(BadInput, match=r"weights without 1 of its tensors \(embed_out\.weight\)"):
        model_folder.check(of(folder))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["GPTNeoXModel"]}))
    model_folder.check(of(folder))
    assert not LanguageModel.load(Model(name=str(folder))).has_head


@pytest.mark.parametrize("name", ["neox", "gpt2", "llama", "qwen2", "gemma2", "olmo2", "bloom", "opt"])
def test_what_head_and_embedding_share_may_have_the_name_of_either(name, folders, tmp_path):
    """The oracle is what transformers says of the same folder."""
    folder = Path(shutil.copytree(folders[name], tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text()) | {"tie_word_embeddings": True}
    (folder / "config.json").write_text(json.dumps(config))
    weights = load_file(folder / "model.safetensors")
    (embedding,) = [
        each for each in weights if re.search(r"(embed_tokens|wte|embed_in|\bword_embeddings)\.weight", each)
    ]
    head = "embed_out.weight" if name == "neox" else "lm_head.weight"
    weights[head] = weights.pop(embedding).clone()
    rewritten(folder, weights)
    assert not AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)[1]["missing_keys"]
    model_folder.check(of(folder))
    LanguageModel.load(Model(name=str(folder)))
    for change in ({"tie_word_embeddings": False}, {"architectures": [config["architectures"][0][:4] + "Model"]}):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(BadInput, match=rf"weights without 1 of its tensors \({re.escape(embedding)}\)"):
            model_folder.check(of(folder))

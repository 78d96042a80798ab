"""The analysed model against plain transformers, and against folders that are not whole."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformer_lens.model_bridge import TransformerBridge
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    GPTNeoXForCausalLM,
    LlamaConfig,
    MambaConfig,
)

from sparse_coding.errors import BadInput
from sparse_coding.lm import loading
from sparse_coding.lm.loading import tokenizer_of
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.params import Model
from sparse_coding.settings.sites import Site
from tests.tiny_model import make_tiny_model

LAYERS = 3
SITES = [Site(layer, "residual") for layer in range(LAYERS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=LAYERS)


@pytest.fixture
def copied(folder, tmp_path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copied"))


@pytest.fixture(scope="module")
def model(folder) -> LanguageModel:
    return LanguageModel.load(Model(name=str(folder)))


@pytest.fixture(scope="module")
def plain(folder) -> GPTNeoXForCausalLM:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.fixture(scope="module")
def tokens() -> torch.Tensor:
    tokens = torch.randint(1, 300, (3, 17), generator=torch.Generator().manual_seed(0))
    tokens[:, 0] = 0
    tokens[1, 9] = tokens[2, -1] = 0  # end-of-text inside a block, which is also the padding token: not masked
    return tokens


@torch.no_grad()
def residual_stream(plain, tokens) -> list[torch.Tensor]:
    """What each block of the plain model puts out; `hidden_states` has the last one only after the final norm."""
    found: list[torch.Tensor] = []
    handles = [block.register_forward_hook(lambda *args: found.append(args[-1])) for block in plain.gpt_neox.layers]
    plain(tokens)
    for handle in handles:
        handle.remove()
    return found


def test_dimensions(model):
    assert (model.n_layers, model.n_vocabulary, model.bos) == (LAYERS, 300, 0)
    assert model.tokenizer.decode([0]) == "<|endoftext|>"


def test_harvest_and_logits_equal_plain_transformers(model, plain, tokens):
    expected = residual_stream(plain, tokens)
    found = model.harvest(tokens, SITES)
    assert list(found) == [site.name for site in SITES]
    for site in SITES:
        torch.testing.assert_close(found[site.name], expected[site.layer], rtol=0, atol=1e-5)
        alone = model.harvest(tokens, [site])
        torch.testing.assert_close(alone[site.name], expected[site.layer], rtol=0, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(model.logits(tokens), plain(tokens).logits, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            plain(tokens, output_hidden_states=True).hidden_states[2], found["layer1_residual"], rtol=0, atol=1e-5
        )


LLAMA = {"hidden_size": 32, "num_hidden_layers": LAYERS, "num_attention_heads": 4, "intermediate_size": 64}
CAPPED = {"head_dim": 8, "num_key_value_heads": 2, "sliding_window": 5, "attn_logit_softcapping": 0.05}
ARCHITECTURES = {
    "gpt2": GPT2Config(vocab_size=300, n_embd=32, n_layer=LAYERS, n_head=4, n_positions=64),
    "llama": LlamaConfig(vocab_size=300, **LLAMA),
    "gemma2": Gemma2Config(vocab_size=300, **LLAMA, **CAPPED),
    "bloom": BloomConfig(vocab_size=300, hidden_size=32, n_layer=LAYERS, n_head=4),
    "mamba": MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=LAYERS, state_size=4),
}


@pytest.mark.parametrize("name", ["neox", *ARCHITECTURES])
def test_blocks_of_every_architecture_are_those_of_the_bridge(name, copied, tokens):
    """The oracle: what TransformerBridge caches at `blocks.<layer>.hook_out`, and its logits."""
    if name in ARCHITECTURES:
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(ARCHITECTURES[name]).save_pretrained(copied)
    bridge = TransformerBridge.boot_transformers(str(copied), device="cpu", dtype=torch.float32).eval()
    with torch.no_grad():
        logits, cache = bridge.run_with_cache(tokens)
    model = LanguageModel.load(Model(name=str(copied)))
    for copy in (model, model.twin()):
        found = copy.harvest(tokens, SITES)
        for site in SITES:
            expected = cache[f"blocks.{site.layer}.hook_out"]
            torch.testing.assert_close(found[site.name], expected, rtol=0, atol=3e-6 * float(expected.abs().max()))
        torch.testing.assert_close(copy.logits(tokens), logits, rtol=0, atol=1e-5)
        assert torch.equal(copy.spliced_logits(tokens, SITES[1], lambda x: x), copy.logits(tokens))
        assert not torch.equal(copy.spliced_logits(tokens, SITES[1], torch.zeros_like), copy.logits(tokens))


def test_attention_is_fused_where_that_changes_nothing(model):
    assert model._network.config._attn_implementation == "sdpa"
    capped = AutoModelForCausalLM.from_config(ARCHITECTURES["gemma2"], attn_implementation="eager")
    loading._attend_fast(capped)
    assert capped.config._attn_implementation == "eager"


def test_bfloat16_brings_an_error_of_its_size_and_leaves_the_model_as_it_was(model, tokens):
    before = model.harvest(tokens, SITES)
    rough = model.harvest(tokens, SITES, "bfloat16")
    for site in SITES:
        assert rough[site.name].dtype == torch.float32
        error = float((rough[site.name] - before[site.name]).norm() / before[site.name].norm())
        assert 1e-5 < error < 2e-2
        assert torch.equal(model.harvest(tokens, SITES)[site.name], before[site.name])


@pytest.mark.parametrize("layer", range(LAYERS))
def test_nothing_runs_after_the_last_site(model, tokens, layer):
    called = []
    network = model._network
    parts = [*network.gpt_neox.layers, network.gpt_neox.final_layer_norm, network.get_output_embeddings()]
    handles = [
        part.register_forward_pre_hook(lambda *args, index=index: called.append(index))
        for index, part in enumerate(parts)
    ]
    model.harvest(tokens, [SITES[layer], SITES[0]])
    for handle in handles:
        handle.remove()
    assert called == list(range(layer + 1))


@pytest.mark.parametrize("site", SITES)
def test_splice_equals_a_plain_forward_hook(model, plain, tokens, site):
    matrix = torch.randn(32, 32, generator=torch.Generator().manual_seed(1)) / 6

    def replace(residual):
        return residual @ matrix + 0.1

    handle = plain.gpt_neox.layers[site.layer].register_forward_hook(lambda *args: replace(args[-1]))
    with torch.no_grad():
        expected = plain(tokens).logits
    handle.remove()
    torch.testing.assert_close(model.spliced_logits(tokens, site, replace), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(model.spliced_logits(tokens, site, lambda x: x), model.logits(tokens), rtol=0, atol=0)
    assert not torch.allclose(expected, model.logits(tokens), atol=1e-2)


def test_an_error_in_the_splice_leaves_the_model_as_it_was(model, tokens):
    before = model.logits(tokens)

    def fail(residual):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        model.spliced_logits(tokens, SITES[1], fail)
    assert torch.equal(model.logits(tokens), before)


def test_random_weights_are_the_architectures_own_initialisation(folder, model, tokens):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    found = LanguageModel.load(Model(name=str(folder)), random_seed=3)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(3)
    expected = GPTNeoXForCausalLM(AutoConfig.from_pretrained(folder)).eval()
    with torch.no_grad():
        torch.testing.assert_close(found.logits(tokens), expected(tokens).logits, rtol=0, atol=1e-5)
    other = LanguageModel.load(Model(name=str(folder)), random_seed=4)
    assert not torch.allclose(found.logits(tokens), other.logits(tokens), atol=1e-3)
    assert not torch.allclose(found.logits(tokens), model.logits(tokens), atol=1e-3)


def test_half_precision_weights_are_computed_in_float32(copied, tokens):
    weights = {name: value.half() for name, value in load_file(copied / "model.safetensors").items()}
    save_file(weights, copied / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((copied / "config.json").read_text()) | {"dtype": "float16"}
    (copied / "config.json").write_text(json.dumps(config))
    for seed in (None, 0):
        loaded = LanguageModel.load(Model(name=str(copied)), random_seed=seed)
        assert loaded.harvest(tokens, SITES)["layer2_residual"].dtype == loaded.logits(tokens).dtype == torch.float32


@pytest.mark.parametrize("layer", [3, 12])
def test_a_layer_outside_the_model_is_named(model, tokens, layer):
    site = Site(layer, "residual")
    message = rf"site layer{layer}_residual: found layer {layer}; wanted a layer from 0 to 2: .* has 3 layers"
    with pytest.raises(BadInput, match=message):
        model.harvest(tokens, [SITES[0], site])
    with pytest.raises(BadInput, match=message):
        model.spliced_logits(tokens, site, lambda x: x)


def without(*names: str):
    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def cut_weights(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])


def drop_a_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["gpt_neox.layers.1.mlp.dense_h_to_4h.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def shrink_a_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["embed_out.weight"] = weights["embed_out.weight"][:100].contiguous()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def pickle_weights(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("config.json"), "a folder without config.json"),
        (without("tokenizer.json", "tokenizer_config.json"), "no tokenizer that can be loaded"),
        (without("tokenizer.json"), "no tokenizer that can be loaded"),
        (without("model.safetensors"), "weights that cannot be loaded"),
        (cut_weights, "weights that cannot be loaded"),
        (shrink_a_tensor, "weights that cannot be loaded"),
        (pickle_weights, "weights that cannot be loaded"),
        (drop_a_tensor, r"weights without 1 of the model's tensors \(gpt_neox.layers.1.mlp.dense_h_to_4h.weight"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(copied, damage, message):
    damage(copied)
    with pytest.raises(BadInput, match=f"model {copied}: found {message}"):
        LanguageModel.load(Model(name=str(copied)))


def test_no_such_folder(tmp_path):
    for name in (str(tmp_path / "nowhere"), "./nowhere", "a/b/c"):
        with pytest.raises(BadInput, match=f"model {name}: found no such folder"):
            tokenizer_of(Model(name=name))


OFFLINE = """
import sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        print("NETWORK", event, arguments[-1:], flush=True)
        raise OSError("blocked")
sys.addaudithook(refuse)
import torch
from sparse_coding.errors import BadInput
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.params import Model
from sparse_coding.settings.sites import Site
for seed in (None, 0):
    model = LanguageModel.load(Model(name=sys.argv[1]), random_seed=seed)
    model.harvest(torch.zeros(1, 5, dtype=torch.int64), [Site(2, "residual")])
"""


def test_a_local_folder_loads_quietly_and_without_network(folder, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    result = subprocess.run([sys.executable, "-c", OFFLINE, folder], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")

"""Edits of a model inside a context, against our own splicing and against hooks by hand; outside nothing is left."""

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings import sites
from sparse_coding.settings.params import Model
from sparse_coding.using import ablate, clamp, splice, steer
from tests.tiny_model import make_tiny_model

SITE = "layer1_residual"
TOKENS = torch.tensor([[0, 5, 17, 40, 9, 22], [0, 8, 100, 3, 60, 61]])  # 0 is BOS


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def network(folder):
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def made(d_in=32, d_out=None, seed=0, n_feat=50, **changes):
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator)

    tensors = {"encoder": drawn(n_feat, d_in) / d_in**0.5, "bias": 0.1 * drawn(n_feat), "centre": 0.1 * drawn(d_in)}
    tensors["decoder"] = torch.nn.functional.normalize(drawn(n_feat, d_out or d_in), dim=1)
    tensors |= {"gain": torch.ones(n_feat)} | ({"out_centre": drawn(d_out)} if d_out else {})
    return Dictionary(**tensors, **changes)


def logits(model, tokens=TOKENS):
    with torch.no_grad():
        found = model(tokens)
    return found if isinstance(found, torch.Tensor) else found.logits


def by_hand(network, function, path="gpt_neox.layers.1"):
    """The same pass with a hook that knows the layout of this kind of model."""

    def hook(_, __, output):
        x = output[0] if isinstance(output, tuple) else output
        new = function(x)
        new[:, 0] = x[:, 0]  # BOS
        return (new, *output[1:]) if isinstance(output, tuple) else new

    handle = network.get_submodule(path).register_forward_hook(hook)
    try:
        return logits(network)
    finally:
        handle.remove()


def test_splicing_is_that_of_the_evaluation(folder, network):
    d = made()
    model = LanguageModel.load(Model(name=str(folder)))

    def replace(x):
        new = d.reconstruct(x)
        new[:, 0] = x[:, 0]
        return new

    wanted = model.spliced_logits(TOKENS, sites.parse(SITE), replace)
    clean = logits(network)
    with splice(network, SITE, d):
        found = logits(network)
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(found, clean, atol=1e-3)
    assert torch.equal(logits(network), clean)


def test_features_are_taken_away_added_and_held(network):
    d = made()
    atoms = d.atoms
    with ablate(network, SITE, d, [3, 7]):
        found = logits(network)
    assert torch.allclose(found, by_hand(network, lambda x: x - d.encode(x)[..., [3, 7]] @ atoms[[3, 7]]), atol=1e-5)
    with steer(network, SITE, d, 4, -2.5):
        found = logits(network)
    assert torch.allclose(found, by_hand(network, lambda x: x - 2.5 * atoms[4]), atol=1e-5)
    with clamp(network, SITE, d, {4: 1.5, 9: 0.0}):
        found = logits(network)

    def held(x):
        codes = d.encode(x)
        return x + (1.5 - codes[..., [4]]) * atoms[4] - codes[..., [9]] * atoms[9]

    assert torch.allclose(found, by_hand(network, held), atol=1e-5)


def test_they_nest_and_an_error_restores_the_model_too(network):
    d, clean = made(), logits(network)

    def fail():
        with splice(network, SITE, d), steer(network, "layer2_residual", d, 1, 3.0):
            both.append(logits(network))
            raise RuntimeError("mine")

    both = []
    with pytest.raises(RuntimeError, match="mine"):
        fail()
    assert torch.equal(logits(network), clean)
    with splice(network, SITE, d):
        assert not torch.allclose(logits(network), both[0], atol=1e-3)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


def test_generation_works_inside_token_by_token(folder, network):
    """With a cache each pass has one token; the same comes out as without one."""
    d = made()
    start = TOKENS[:1]
    with steer(network, SITE, d, 2, 6.0):
        cached = network.generate(start, max_new_tokens=8, do_sample=False, use_cache=True, pad_token_id=0)
        whole = network.generate(start, max_new_tokens=8, do_sample=False, use_cache=False, pad_token_id=0)
    plain = network.generate(start, max_new_tokens=8, do_sample=False, pad_token_id=0)
    assert torch.equal(cached, whole)
    assert not torch.equal(cached, plain)


def test_a_bridge_is_changed_as_its_model_is(folder, network):
    d = made()
    bridge = TransformerBridge.boot_transformers(str(folder), device="cpu")
    clean = logits(bridge)
    with splice(bridge, SITE, d):
        found = logits(bridge)
    with splice(network, SITE, d):
        wanted = logits(network)
    assert torch.allclose(clean, logits(network), atol=1e-4)
    assert torch.allclose(found, wanted, atol=1e-4)
    assert torch.equal(logits(bridge), clean)


def test_a_transcoder_reads_one_place_and_writes_another(folder, network):
    d = made(d_out=32, skip=torch.randn(32, 32) / 10)
    model = LanguageModel.load(Model(name=str(folder)))
    site = sites.parse("layer1_mlpin_to_mlpout")

    def replace(both):
        new = torch.cat([both[..., :32], d.reconstruct(both[..., :32])], dim=-1)
        new[:, 0] = both[:, 0]
        return new

    wanted = model.spliced_logits(TOKENS, site, replace)
    with splice(network, site, d):
        assert torch.allclose(logits(network), wanted, atol=1e-5)


@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_other_architectures(kind):
    torch.manual_seed(0)
    if kind == "gpt2":
        network = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=3, n_head=2, vocab_size=120, n_positions=32)).eval()
        path = "transformer.h.1"
    else:
        config = LlamaConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=2, vocab_size=120,
                             intermediate_size=64, num_key_value_heads=2, bos_token_id=0, eos_token_id=0)  # fmt: skip
        network, path = LlamaForCausalLM(config).eval(), "model.layers.1"
    network.config.bos_token_id = network.config.eos_token_id = 0
    d = made()
    wanted = by_hand(network, d.reconstruct, path)
    with splice(network, SITE, d):
        assert torch.allclose(logits(network), wanted, atol=1e-5)


def test_what_does_not_fit_is_refused_and_nothing_is_left(network):
    d, clean = made(), logits(network)
    for site, given, said in (
        ("layer9_residual", d, "a layer that it has"),
        ("layer1_nowhere", d, "layerN_"),
        (None, d, "as layer2_residual"),
    ):
        with pytest.raises(BadInput, match=said), splice(network, site, given):
            pass
    with pytest.raises(BadInput, match="vectors of 16 dimensions; wanted 32"), splice(network, SITE, made(d_in=16)):
        logits(network)
    for features in ([50], [-1], [], [True], [1.0]):
        with pytest.raises(BadInput, match="features"), ablate(network, SITE, d, features):
            pass
    with pytest.raises(BadInput, match="a model of transformers"), splice(object(), SITE, d):
        pass
    assert torch.equal(logits(network), clean)


def test_a_dictionary_may_say_its_site_and_bfloat16_stays(folder):
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    assert AutoTokenizer.from_pretrained(folder).bos_token_id == network.config.bos_token_id
    with splice(network, None, made(site=SITE)):
        assert logits(network).dtype == torch.bfloat16

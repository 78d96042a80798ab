"""All locations, in real checkpoints of several architectures, against hooks on plain transformers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.hooks import RemovableHandle
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, DistilBertConfig

from sparse_coding.errors import BadInput
from sparse_coding.lm.model import LanguageModel
from sparse_coding.lm.resuming import resuming
from sparse_coding.settings.params import Model
from sparse_coding.settings.sites import LOCATIONS, Site
from tests.checkpoints import CONFIGS, CONTEXT, ENCODERS, HEADS, LAYERS, VOCABULARY, WIDTH, make_checkpoint

TOKENS = torch.randint(1, VOCABULARY, (3, 17), generator=torch.Generator().manual_seed(0))
SITES = [Site(layer, location) for layer in range(LAYERS) for location in LOCATIONS]
AFTER = Site(1, "residual")
TESTED = ["neox", "neox, one after the other", "gpt2", "llama", "qwen2"]
# Blocks, and in a block: attention, MLP, both output projections, what the non-linearity puts out.
PARTS = {
    "neox": ("gpt_neox.layers", "attention.dense", "mlp", "mlp.dense_4h_to_h", "mlp.act"),
    "gpt2": ("transformer.h", "attn.c_proj", "mlp", "mlp.c_proj", "mlp.act"),
    "llama": ("model.layers", "self_attn.o_proj", "mlp", "mlp.down_proj", None),
}
PARTS |= {"neox, one after the other": PARTS["neox"], "qwen2": PARTS["llama"]}
WIDTHS = {"residual": WIDTH, "mlp": 80, "mlpout": WIDTH, "attn": WIDTH, "mlpin": WIDTH}
PAIR = Site(1, "mlpin", to="mlpout")


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads in a pass of so small a model mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: make_checkpoint(root / name, name) for name in CONFIGS}


@pytest.fixture(scope="module")
def models(folders) -> Callable[[str], LanguageModel]:
    made: dict[str, LanguageModel] = {}
    return lambda name: made.setdefault(name, LanguageModel.load(Model(name=str(folders[name]))))


def plain_hook(network: nn.Module, name: str, site: Site, function: Callable) -> RemovableHandle:
    """Let `function` see and replace what is at `site`; where each is stands here by hand."""
    blocks, attention, mlp, projection, activation = PARTS[name]
    block = network.get_submodule(f"{blocks}.{site.layer}")
    if site.location == "attn":
        return block.get_submodule(attention).register_forward_pre_hook(lambda module, inputs: (function(inputs[0]),))
    if site.location == "mlp" and activation is None:  # gated: the product of two branches
        return block.get_submodule(projection).register_forward_pre_hook(lambda module, inputs: (function(inputs[0]),))
    if site.location == "mlpin":
        return block.get_submodule(mlp).register_forward_pre_hook(lambda module, inputs: (function(inputs[0]),))
    part = {"mlp": activation, "mlpout": mlp, "residual": ""}[site.location]
    return block.get_submodule(part).register_forward_hook(
        lambda module, inputs, output: (
            (function(output[0]), *output[1:]) if isinstance(output, tuple) else function(output)
        )
    )


@pytest.mark.parametrize("name", TESTED)
def test_one_pass_gives_what_hooks_on_plain_transformers_see(name, folders, models):
    network, expected = AutoModelForCausalLM.from_pretrained(folders[name]).eval(), {}
    for site in SITES:
        plain_hook(network, name, site, lambda x, site=site: expected.update({site.name: x.clone()}) or x)
    with torch.no_grad():
        logits = network(TOKENS).logits
    found = models(name).harvest(TOKENS, SITES)
    assert found.keys() == expected.keys()
    for site in SITES:
        torch.testing.assert_close(found[site.name], expected[site.name], rtol=1e-5, atol=1e-5)
        alone = models(name).harvest(TOKENS, [site])[site.name]
        assert torch.equal(alone, found[site.name])
    torch.testing.assert_close(models(name).logits(TOKENS), logits, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", TESTED)
def test_widths_are_those_of_the_checkpoint(name, models):
    widths = WIDTHS | ({"mlp": 4 * WIDTH} if name == "gpt2" else {"attn": HEADS * 10} if name == "llama" else {})
    assert models(name).widths(SITES) == {site: widths[site.location] for site in SITES}


def loss(logits: torch.Tensor) -> torch.Tensor:
    return cross_entropy(logits[:, :-1].reshape(-1, VOCABULARY), TOKENS[:, 1:].reshape(-1))


@pytest.mark.parametrize("name", TESTED)
def test_splices_equal_those_into_plain_transformers(name, folders, models):
    model = models(name)
    clean, true = model.logits(TOKENS), model.harvest(TOKENS, SITES)
    network = AutoModelForCausalLM.from_pretrained(folders[name]).eval()
    for site in SITES:
        assert torch.equal(loss(model.spliced_logits(TOKENS, site, lambda x, site=site: true[site.name])), loss(clean))
        for replace in (torch.zeros_like, lambda x: x.flip(-1) / 2 + 0.1):
            handle = plain_hook(network, name, site, replace)
            with torch.no_grad():
                expected = network(TOKENS).logits
            handle.remove()
            found = model.spliced_logits(TOKENS, site, replace)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)
            assert abs(loss(found) - loss(clean)) > 1e-4
    assert torch.equal(model.logits(TOKENS), clean)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_the_mlp_puts_out_is_what_the_block_adds(name, models):
    model = models(name)
    if name == "mamba":
        with pytest.raises(
            BadInput, match=r"layer1_mlpout: found no mlpout in this block of .*; wanted one of residual"
        ):
            model.harvest(TOKENS, [Site(1, "mlpout")])
        return
    change = torch.randn(WIDTH, generator=torch.Generator().manual_seed(1))
    before = model.harvest(TOKENS, [AFTER])[AFTER.name]
    with model._at(Site(1, "mlpout"), TOKENS.shape, lambda x: x + change):
        after = model.harvest(TOKENS, [AFTER])[AFTER.name]
    torch.testing.assert_close(after - before, change.expand_as(before), rtol=0, atol=1e-5 * float(before.abs().max()))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_logits_depend_on_every_place_and_twins_agree(name, models):
    model = models(name)
    clean = model.logits(TOKENS)
    for location in model._places:
        site = Site(1, location)
        assert torch.equal(model.spliced_logits(TOKENS, site, lambda x: x), clean)
        zeroed = model.spliced_logits(TOKENS, site, torch.zeros_like)
        assert not torch.allclose(zeroed, clean)
        assert torch.equal(model.twin().spliced_logits(TOKENS, site, torch.zeros_like), zeroed)
    expected = {"mamba": {"residual"}, "mixtral": {"residual", "mlpout", "attn", "mlpin"}}.get(name, set(LOCATIONS))
    assert set(model._places) == expected


@pytest.mark.parametrize("name", CONFIGS)
def test_passes_that_resume_equal_whole_passes(name, models):
    model = models(name)
    clean = model.logits(TOKENS)
    for location in model._places:
        site = Site(1, location)
        whole = model.spliced_logits(TOKENS, site, lambda x: x / 2 + 0.1)
        with resuming(model, TOKENS, site) as logits:
            assert torch.equal(logits, clean)
            for _ in range(2):
                model.spliced_logits(TOKENS, site, lambda x: x.mul_(0.5))
                assert torch.equal(model.spliced_logits(TOKENS, site, lambda x: x / 2 + 0.1), whole)
                assert torch.equal(model.logits(TOKENS), clean)


@pytest.mark.parametrize("location", LOCATIONS)
def test_a_resumed_pass_leaves_out_what_comes_before_the_site(models, location):
    """One after the other: normalisation, attention, normalisation, MLP."""
    model, ran = models("neox, one after the other"), []
    block = model.block(1)
    parts = {
        "attention": block.attention.query_key_value,
        "mlp": block.mlp.dense_h_to_4h,
        "out": block.mlp.dense_4h_to_h,
    }
    handles = [model.block(0).attention.dense.register_forward_hook(lambda *_: ran.append("below"))]
    for name, part in parts.items():
        type_forward = type(part).forward
        part.__class__ = type("Counted", (type(part),), {
            "forward": lambda self, x, name=name, of=type_forward: (ran.append(name), of(self, x))[1]
        })  # fmt: skip
    try:
        with resuming(model, TOKENS, Site(1, location)):
            ran.clear()
            model.spliced_logits(TOKENS, Site(1, location), torch.zeros_like)
    finally:
        for part in parts.values():
            part.__class__ = nn.Linear
        for handle in handles:
            handle.remove()
    assert ran == {"attn": ["mlp", "out"], "mlpin": ["mlp", "out"], "mlp": ["out"]}.get(location, [])


@pytest.mark.parametrize("name", TESTED)
def test_a_pair_is_seen_side_by_side_and_its_second_place_is_replaced_by_what_is_made_of_the_first(
    name, folders, models
):
    model, network = models(name), AutoModelForCausalLM.from_pretrained(folders[name]).eval()
    both = model.harvest(TOKENS, [PAIR])[PAIR.name]
    apart = model.harvest(TOKENS, list(PAIR.places))
    assert torch.equal(both, torch.cat(list(apart[place.name] for place in PAIR.places), dim=-1))
    weights, seen = torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(2)) / WIDTH**0.5, {}
    first, second = PAIR.places
    handles = [
        plain_hook(network, name, first, lambda x: seen.update(x=x.clone()) or x),
        plain_hook(network, name, second, lambda y: seen["x"] @ weights + y / 2),
    ]
    with torch.no_grad():
        expected = network(TOKENS).logits
    for handle in handles:
        handle.remove()

    def replace(z):
        return torch.cat([0 * z[..., :WIDTH], z[..., :WIDTH] @ weights + z[..., WIDTH:] / 2], dim=-1)

    torch.testing.assert_close(model.spliced_logits(TOKENS, PAIR, replace), expected, rtol=1e-5, atol=1e-4)
    assert torch.equal(model.spliced_logits(TOKENS, PAIR, lambda z: z), model.logits(TOKENS))


@pytest.mark.parametrize("name", [*CONFIGS, *ENCODERS])
def test_passes_that_resume_see_both_places_of_a_pair(name, models, tmp_path):
    """Also where a module around the first place has ended before the second: BERT."""
    model = models(name) if name in CONFIGS else LanguageModel.load(Model(name=str(make_checkpoint(tmp_path, name))))
    if "mlpin" not in model._places:
        with pytest.raises(BadInput, match="no mlpin in this block"):
            model.widths([PAIR])
        return
    assert model.widths([PAIR])[PAIR] == 2 * WIDTH
    clean, width = model.logits(TOKENS), WIDTH

    def replace(z):
        return torch.cat([z[..., :width], z[..., :width].flip(-1) / 3], dim=-1)

    whole = model.spliced_logits(TOKENS, PAIR, replace)
    assert not torch.allclose(whole, clean)
    with resuming(model, TOKENS, PAIR) as logits:
        assert torch.equal(logits, clean)
        for _ in range(2):
            assert torch.equal(model.spliced_logits(TOKENS, PAIR, replace), whole)
            assert torch.equal(model.twin().spliced_logits(TOKENS, PAIR, replace), whole)


def test_control_weights_have_all_places(folders):
    model = LanguageModel.load(Model(name=str(folders["neox"])), random_seed=0)
    found = model.harvest(TOKENS, [site.control for site in SITES])
    assert list(found) == [f"random_{site.name}" for site in SITES]
    assert all(bool(x.isfinite().all()) and float(x.std()) > 0 for x in found.values())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_other_formats_hand_over_float32_and_splice_exactly(folders, models, dtype):
    model = LanguageModel.load(Model(name=str(folders["llama"]), dtype=dtype))
    assert model._network.dtype == getattr(torch, dtype)
    exact, found = models("llama").harvest(TOKENS, SITES), model.harvest(TOKENS, SITES)
    clean = model.logits(TOKENS)
    assert clean.dtype == torch.float32
    for site in SITES:
        assert found[site.name].dtype == torch.float32
        error = float((found[site.name] - exact[site.name]).norm() / exact[site.name].norm())
        assert 1e-5 < error < 0.2, site
        with resuming(model, TOKENS, site):
            assert torch.equal(model.spliced_logits(TOKENS, site, lambda x: x.clone()), clean)
            assert not torch.equal(model.spliced_logits(TOKENS, site, torch.zeros_like), clean)


@pytest.mark.parametrize("device_map", ["auto", {"": "cpu"}])
def test_a_device_map_changes_nothing_on_one_device(folders, models, device_map):
    model = LanguageModel.load(Model(name=str(folders["neox"]), device_map=device_map))
    assert torch.equal(model.logits(TOKENS), models("neox").logits(TOKENS))


def test_devices_that_cannot_be_are_named(folders):
    with pytest.raises(BadInput, match=r"found a device map that does not fit .*; wanted module -> device for every"):
        LanguageModel.load(Model(name=str(folders["neox"]), device_map={"gpt_neox.layers": "cpu", "embed_out": 0}))
    if not torch.cuda.is_available():
        with pytest.raises(BadInput, match=r"model\.device: found cuda, and no GPU that torch sees; wanted cpu"):
            LanguageModel.load(Model(name=str(folders["neox"]), device="cuda"))


@pytest.mark.parametrize("name", ENCODERS)
def test_an_encoder_has_all_places_and_no_next_token_loss(name, models, tmp_path):
    model = LanguageModel.load(Model(name=str(make_checkpoint(tmp_path / name, name))))
    network, expected = AutoModelForMaskedLM.from_pretrained(tmp_path / name).eval(), {}
    layer = network.get_submodule(name).encoder.layer[1]
    layer.register_forward_hook(lambda *passed: expected.update(residual=passed[-1]))
    layer.intermediate.register_forward_pre_hook(lambda *passed: expected.update(mlpin=passed[-1][0]))
    layer.intermediate.register_forward_hook(lambda *passed: expected.update(mlp=passed[-1]))
    layer.output.dense.register_forward_hook(lambda *passed: expected.update(mlpout=passed[-1]))
    layer.attention.output.dense.register_forward_pre_hook(lambda *passed: expected.update(attn=passed[-1][0]))
    with torch.no_grad():
        logits = network(TOKENS).logits
    found = model.harvest(TOKENS, [Site(1, location) for location in LOCATIONS])
    for location in LOCATIONS:
        of_plain = expected[location][0] if isinstance(expected[location], tuple) else expected[location]
        torch.testing.assert_close(found[f"layer1_{location}"], of_plain, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.logits(TOKENS), logits, rtol=1e-5, atol=1e-5)
    assert model.n_context == CONTEXT
    longest = torch.randint(2, VOCABULARY, (1, CONTEXT))
    assert model.logits(longest).shape == (1, CONTEXT, VOCABULARY)
    assert not model.is_causal()
    assert all(models(name).is_causal() for name in CONFIGS)


def test_an_architecture_that_the_bridge_does_not_know_is_named(tmp_path):
    folder = make_checkpoint(tmp_path / "model", "bert")
    sizes = {"vocab_size": VOCABULARY, "dim": WIDTH, "n_layers": 1, "n_heads": HEADS, "hidden_dim": 80}
    AutoModelForMaskedLM.from_config(DistilBertConfig(**sizes)).save_pretrained(folder)
    found = r"an architecture that TransformerBridge of transformer_lens does not know \(\['DistilBertForM.*"
    with pytest.raises(BadInput, match=f"found {found}; wanted a causal model, BERT or RoBERTa"):
        LanguageModel.load(Model(name=str(folder)))


def test_an_encoder_is_told_from_a_causal_model_though_some_tokens_are_alike(tmp_path):
    """Tokens that no text had in training stay alike: the first ones of BERT's vocabulary."""
    folder = make_checkpoint(tmp_path / "bert", "bert")
    weights = load_file(folder / "model.safetensors")
    weights["bert.embeddings.word_embeddings.weight"][:100] = 0.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    for dtype in ("float32", "bfloat16"):
        assert not LanguageModel.load(Model(name=str(folder), dtype=dtype)).is_causal()


@pytest.mark.parametrize("name", ["neox", "gpt2", "opt"])
def test_centred_writing_takes_the_mean_that_layer_norm_does_not_see(name, folders, models):
    plain, centred = models(name), LanguageModel.load(Model(name=str(folders[name]), centred_writing=True))
    sites = [Site(1, location) for location in ("residual", "mlp", "mlpout", "attn")]
    before, after = plain.harvest(TOKENS, sites), centred.harvest(TOKENS, sites)
    for site in sites:
        mean = before[site.name].mean(-1, keepdim=True)
        is_writing = site.location in ("residual", "mlpout")
        torch.testing.assert_close(after[site.name], before[site.name] - mean * is_writing)
        assert mean.abs().max() > 1e-3
        seen = centred.spliced_logits(TOKENS, site, lambda x: x)
        torch.testing.assert_close(seen, plain.logits(TOKENS), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_centred_writing_is_refused_where_the_mean_is_seen(name, folders):
    with pytest.raises(BadInput, match=r"model\.centred_writing: found true, and .* sees the mean"):
        LanguageModel.load(Model(name=str(folders[name]), centred_writing=True))

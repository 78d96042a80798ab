"""Passes that begin above a site against whole passes, bit for bit."""

import shutil

import pytest
import torch
from transformers import AutoModelForCausalLM

from sparse_coding.errors import BadInput
from sparse_coding.lm.model import LanguageModel
from sparse_coding.lm.resuming import resuming
from sparse_coding.settings.params import Model
from sparse_coding.settings.sites import Site
from tests.lm.test_model import ARCHITECTURES, LAYERS, SITES
from tests.tiny_model import make_tiny_model

TOKENS = torch.randint(1, 300, (3, 17), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny", layers=LAYERS)


@pytest.fixture
def model(folder):
    return LanguageModel.load(Model(name=str(folder)))


def halved(residual):
    return residual / 2 + 0.1


def written_over(residual):
    return residual.mul_(0.5)


@pytest.mark.parametrize("name", ["neox", *ARCHITECTURES])
def test_logits_are_those_of_whole_passes(name, folder, tmp_path):
    copied = shutil.copytree(folder, tmp_path / "copied")
    if name in ARCHITECTURES:
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(ARCHITECTURES[name]).save_pretrained(copied)
    model = LanguageModel.load(Model(name=str(copied)))
    clean = model.logits(TOKENS)
    for site in SITES:
        whole = model.spliced_logits(TOKENS, site, halved)
        ran = []
        block = model._network.get_submodule(f"{model._blocks}.0")
        handle = next(iter(block.children())).register_forward_hook(lambda *args, ran=ran: ran.append(1))
        with resuming(model, TOKENS, site) as logits:
            assert torch.equal(logits, clean)
            for _ in range(2):
                assert torch.equal(model.spliced_logits(TOKENS, site, written_over), model.logits(TOKENS)) is False
                assert torch.equal(model.spliced_logits(TOKENS, site, halved), whole)
                assert torch.equal(model.logits(TOKENS), clean)
        assert len(ran) == 1, "the blocks below ran more than once"
        handle.remove()
        assert torch.equal(model.spliced_logits(TOKENS, site, halved), whole)


def test_an_error_leaves_the_model_as_it_was(model):
    before = model.logits(TOKENS[:, :9])
    with pytest.raises(ZeroDivisionError), resuming(model, TOKENS, SITES[1]):
        raise ZeroDivisionError
    assert torch.equal(model.logits(TOKENS[:, :9]), before)


@pytest.mark.parametrize("missed", ["raises", "goes on"])
def test_blocks_that_share_more_than_they_put_out_run_in_every_pass(model, missed):
    """As where a block uses the keys and values of one far below."""
    shared = {}
    layers = model._network.gpt_neox.layers
    layers[0].attention.register_forward_hook(lambda *args: shared.update(key=args[-1][0].mean()))

    def use(block, inputs, output):
        key = shared.pop("key") if missed == "raises" else shared.pop("key", 0)
        return output + key

    layers[2].register_forward_hook(use)
    whole = model.spliced_logits(TOKENS, SITES[1], halved)
    with resuming(model, TOKENS, SITES[1]) as logits:
        assert torch.equal(model.logits(TOKENS), logits)
        assert torch.equal(model.spliced_logits(TOKENS, SITES[1], halved), whole)


def test_a_layer_outside_the_model_is_named(model):
    with pytest.raises(BadInput, match="layer 3"), resuming(model, TOKENS, Site(LAYERS, "residual")):
        pass


def test_a_block_that_stands_at_two_layers_runs_in_every_pass(model):
    layers = model._network.gpt_neox.layers
    layers[1] = layers[0]
    clean, whole = model.logits(TOKENS), model.spliced_logits(TOKENS, SITES[1], halved)
    with resuming(model, TOKENS, SITES[1]) as logits:
        assert torch.equal(logits, clean)
        assert torch.equal(model.spliced_logits(TOKENS, SITES[1], halved), whole)
    assert torch.equal(model.logits(TOKENS), clean)

"""Models whose logits hold -inf or a huge constant: what they are known by, and what is measured of them."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import kl_div
from transformers import AutoModelForMaskedLM, PhiConfig, PhiForCausalLM

from sparse_coding.core.metrics.splice import Clean, References, Spliced, perplexity
from sparse_coding.errors import BadInput
from sparse_coding.lm.model import LanguageModel
from sparse_coding.lm.tokenizing import train_tokenizer
from sparse_coding.settings.params import Model
from sparse_coding.settings.sites import Site
from tests.checkpoints import HEADS, LAYERS, VOCABULARY, WIDTH, make_encoder
from tests.tiny_model import TEXT

PADDING = [0.0, -1e4, -1e9, -math.inf]
UNUSED = 20  # words that the model has and never says


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("odd")
    torch.manual_seed(0)
    sizes = {"hidden_size": WIDTH, "intermediate_size": 48, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS}
    network = PhiForCausalLM(PhiConfig(vocab_size=VOCABULARY, **sizes, bos_token_id=0, eos_token_id=0, pad_token_id=0))
    for parameter in network.parameters():
        parameter.data *= 6 if parameter.dim() > 1 else 1
    network.save_pretrained(root / "phi")
    train_tokenizer([TEXT * 20], VOCABULARY).save_pretrained(root / "phi")
    return {"phi": root / "phi", "bert": make_encoder(root / "bert", "bert", head=True)}


def with_bias(folder: Path, padding: float, to: Path) -> LanguageModel:
    """The model with this bias of unused output words."""
    kind = PhiForCausalLM if folder.name == "phi" else AutoModelForMaskedLM
    network = kind.from_pretrained(folder)
    bias = network.lm_head.bias if folder.name == "phi" else network.cls.predictions.bias
    bias.data[-UNUSED:] = padding
    network.save_pretrained(to)
    for file in folder.glob("token*"):
        (to / file.name).write_bytes(file.read_bytes())
    return LanguageModel.load(Model(name=str(to)))


@pytest.mark.parametrize("padding", PADDING)
@pytest.mark.parametrize(("name", "is_causal"), [("phi", True), ("bert", False)])
def test_an_encoder_is_told_from_a_causal_model_whatever_it_never_says(name, is_causal, padding, folders, tmp_path):
    model = with_bias(folders[name], padding, tmp_path)
    assert float(model.logits(torch.arange(1, 9)[None])[0, 0, -1]) <= max(padding, -1e9) / 2 or padding == 0
    assert model.is_causal() is is_causal


@pytest.mark.parametrize("padding", [-1e9, -math.inf])
def test_centred_writing_is_held_against_what_the_model_does_not_against_constants(padding, folders, tmp_path):
    centred = LanguageModel.load(Model(name=str(folders["phi"]), centred_writing=True))  # LayerNorm alone
    with_bias(folders["phi"], padding, tmp_path)
    odd = LanguageModel.load(Model(name=str(tmp_path), centred_writing=True))
    tokens, site = torch.arange(1, 9)[None], Site(1, "residual")
    torch.testing.assert_close(odd.harvest(tokens, [site]), centred.harvest(tokens, [site]))


def test_one_direction_of_rounding(folders):
    """What differs by more than rounding, beside a constant of any size."""
    model = LanguageModel.load(Model(name=str(folders["phi"])))
    one = torch.randn(8, 500, generator=torch.Generator().manual_seed(0))
    for constant in (-1e9, -math.inf):
        one[:, 499] = constant
        assert model._is_rounding(one, one + 1e-6)
        assert not model._is_rounding(one, one + 1e-2)


@pytest.mark.parametrize("padding", [-1e9, -math.inf])
def test_kl_leaves_out_what_has_no_probability(padding):
    draw = torch.Generator().manual_seed(0)
    tokens, clean = torch.randint(1, 8, (2, 6), generator=draw), torch.randn(2, 6, 10, generator=draw)
    spliced, special = clean + 0.1 * torch.randn(2, 6, 10, generator=draw), torch.zeros(2, 6, dtype=torch.bool)
    clean[..., 8:], spliced[..., 8:] = padding, padding
    loss, divergence = Clean(clean, tokens, special).compare(spliced)
    log_p, log_q = (logits[:, :-1, :8].double().log_softmax(-1) for logits in (clean, spliced))
    expected = kl_div(log_q, log_p, reduction="none", log_target=True).sum((1, 2))
    torch.testing.assert_close(divergence, expected, rtol=1e-5, atol=1e-7)
    picked = -log_q.gather(2, tokens[:, 1:, None]).sum((1, 2))
    torch.testing.assert_close(loss, picked, rtol=1e-6, atol=1e-6)


def test_kl_is_infinite_only_where_a_word_with_probability_loses_all_of_it():
    clean = torch.zeros(1, 3, 4)
    clean[..., 3] = -200  # p is 0 in 32 bits
    tokens, special = torch.zeros(1, 3, dtype=torch.int64), torch.zeros(1, 3, dtype=torch.bool)
    for word, expected in ((3, 0.0), (2, math.inf)):
        spliced = clean.clone()
        spliced[..., word] = -math.inf
        divergence = float(Clean(clean, tokens, special).compare(spliced)[1])
        assert divergence == pytest.approx(expected, abs=1e-6)


def test_a_loss_beyond_what_a_perplexity_can_be_leaves_that_one_number_out():
    one = np.array([1.0, 1.0])
    found = Spliced(References(one, 3 * one, 8 * one, 9 * one), cross_entropy=800 * one, divergence=one)
    assert (found.ce.value, found.loss_recovered.value, found.perplexity) == (800.0, -158.4, None)
    assert perplexity(3.0) == math.exp(3.0)
    assert perplexity(math.inf) is None
    assert perplexity(None) is None


def test_a_headless_model_has_no_logits_to_splice(tmp_path):
    model = LanguageModel.load(Model(name=str(make_encoder(tmp_path, "bert"))))
    with pytest.raises(BadInput, match="found no head"):
        model.spliced_logits(torch.arange(1, 9)[None], Site(0, "residual"), torch.zeros_like)

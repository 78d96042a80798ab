"""What features are, against plain formulas."""

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io.activations import open_activations
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.params import Model
from sparse_coding.using import features_of, logit_lens, nearest, top_texts
from sparse_coding.using.looking import Context, logit_lenses
from tests import step_inputs
from tests.tiny_model import make_tiny_model
from tests.using.test_edits import made

SITE = "layer1_residual"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


def test_features_of_a_text_are_the_codes_of_its_tokens(folder):
    d, text = made(site=SITE), "return the lines of a file"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = tokenizer(text)["input_ids"]
    with torch.no_grad():
        states = network(torch.tensor([[tokenizer.bos_token_id, *ids]]), output_hidden_states=True).hidden_states
    codes = d.encode(states[2][0, 1:])  # behind block 1
    found = features_of(d, text, LanguageModel.load(Model(name=str(folder))), top=3)
    assert "".join(each.token for each in found) == text
    for on, row in zip(found, codes, strict=True):
        best = sorted(range(d.n_feat), key=lambda f: -float(row[f]))[:3]
        assert [each.feature for each in on.firing] == [f for f in best if row[f] > 0]
        assert [each.code for each in on.firing] == pytest.approx([float(row[f]) for f in best if row[f] > 0], abs=1e-4)


def test_texts_that_cannot_be_read_are_refused(folder):
    model = LanguageModel.load(Model(name=str(folder)))
    with pytest.raises(BadInput, match="one with a token at least"):
        features_of(made(site=SITE), "", model)
    with pytest.raises(BadInput, match="which the model reads at once"):
        features_of(made(site=SITE), "run " * 200, model)
    with pytest.raises(BadInput, match="names no site"):
        features_of(made(), "run", model)


def test_the_lens_is_the_direction_normed_and_unembedded(folder):
    network, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    norm, d = network.gpt_neox.final_layer_norm, made(site="layer2_residual")
    with torch.no_grad():
        norm.weight.copy_(torch.rand(32) + 0.5)
        norm.bias.copy_(torch.randn(32))
        apart = d.atoms[4] - d.atoms[4].mean()
        logits = network.lm_head.weight @ (norm.weight * apart / apart.square().mean().sqrt())
    logits -= logits.mean()
    order = logits.argsort(descending=True)
    lens = logit_lens(d, 4, network, tokenizer, n=5)
    for found, wanted in ((lens.promoted, order[:5]), (lens.suppressed, order.flip(0)[:5])):
        assert [token for token, _ in found] == [tokenizer.decode([int(i)]) for i in wanted]
        assert [logit for _, logit in found] == pytest.approx([float(logits[i]) for i in wanted], rel=1e-4)
    with pytest.raises(BadInput, match="in the residual stream"):
        logit_lens(made(site="layer2_attn"), 4, network, tokenizer)
    with pytest.raises(BadInput, match="one from 0 to 49"):
        logit_lens(d, 50, network, tokenizer)


def test_lenses_of_several_features_are_those_of_each(folder):
    network, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    d = made(site=SITE)
    for feature, lens in zip((7, 3), logit_lenses(d, [7, 3], network, tokenizer, n=5), strict=True):
        alone = logit_lens(d, feature, network, tokenizer, n=5)
        for side, other in ((lens.promoted, alone.promoted), (lens.suppressed, alone.suppressed)):
            assert [token for token, _ in side] == [token for token, _ in other]
            assert [logit for _, logit in side] == pytest.approx([logit for _, logit in other], abs=1e-5)


def test_the_nearest_of_a_shuffled_dictionary_is_the_same_feature():
    one = made(n_feat=60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(4))
    tensors = {name: each if name == "centre" else each[order] for name, each in one.tensors.items()}
    found = nearest(one, Dictionary(**tensors))
    assert torch.equal(order[found.index], torch.arange(60))
    assert torch.allclose(found.cosine, torch.ones(60))
    assert found.mutual.all()
    other = made(seed=9, n_feat=40)
    found = nearest(one, other)
    cosines = np.array([[float(a @ b) for b in other.atoms] for a in one.atoms])
    assert (found.index.numpy() == cosines.argmax(1)).all()
    assert (found.mutual.numpy() == (cosines.argmax(0)[cosines.argmax(1)] == np.arange(60))).all()
    with pytest.raises(BadInput, match="of the same space"):
        nearest(one, made(d_in=16))


def test_the_strongest_texts_of_the_corpus(tmp_path):
    d = made(d_in=step_inputs.D, site=step_inputs.SITE)
    path = tmp_path / "activations" / f"{step_inputs.SITE}.h5"
    step_inputs.write_activations(path)
    step_inputs.write_tokens(tmp_path / "dataset" / "tokens.h5")
    with open_activations(path) as file:
        x = file.split("fragments").read(0, step_inputs.FRAGMENTS * step_inputs.LENGTH)
    codes = d.encode(x)[:, 7].reshape(step_inputs.FRAGMENTS, step_inputs.LENGTH)
    best = sorted(range(len(codes)), key=lambda at: -float(codes[at].max()))[:3]
    found = top_texts(d, 7, n=3, results=tmp_path)
    assert [each.codes for each in found] == [pytest.approx(tuple(codes[at].tolist()), abs=1e-6) for at in best]
    tokens = step_inputs.fragment_tokens()
    assert [each.tokens for each in found] == [tuple(f"t{token}" for token in tokens[at]) for at in best]
    assert len(top_texts(d, 7, n=1000, results=tmp_path)) == int((codes.max(dim=1).values > 0).sum())
    with pytest.raises(BadInput, match="one from 0 to 49"):
        top_texts(d, -1, results=tmp_path)
    (tmp_path / "dataset" / "tokens.h5").unlink()
    with pytest.raises(BadInput, match="no such file"):
        top_texts(d, 7, results=tmp_path)


def test_a_context_marks_its_strongest_token():
    assert str(Context((" a", " b", " c"), (0.0, 2.0, 1.0))) == " a\u00ab b\u00bb c"

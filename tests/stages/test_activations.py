"""Harvested and imported activations against plain transformers and against the arrays that were given."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from sparse_coding.errors import BadInput
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import ActivationsWriter, open_activations
from sparse_coding.io.tokens import Blocks, Tokens
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.params import Activations, Model
from sparse_coding.settings.sites import Site
from sparse_coding.settings.slices import ActivationsSlice
from sparse_coding.stages import activations
from tests.checkpoints import make_checkpoint
from tests.tiny_model import make_tiny_model

SITES = ("layer1_residual", "layer0_residual")
SEPARATOR, BOS, CONTEXT = 1, 0, 12


def random_blocks(n: int, width: int, seed: int, separators: bool = True) -> Blocks:
    random = np.random.default_rng(seed)
    tokens = random.integers(2, 300, (n, width), dtype=np.int32)
    if separators:
        tokens[random.random(tokens.shape) < 0.1] = SEPARATOR
    document = np.sort(random.integers(0, 5, n * width, dtype=np.int32)).reshape(n, width)
    tokens[:, 0], document[:, 0] = BOS, token_files.NO_DOCUMENT
    return Blocks(tokens, document)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny", layers=2)


@pytest.fixture(scope="module")
def corpus(model) -> Tokens:
    return Tokens(
        train=random_blocks(23, CONTEXT, 0),
        held_out=random_blocks(4, CONTEXT, 1),
        fragments=random_blocks(5, 8, 2, separators=False).tokens,
        fragments_document=np.arange(5, dtype=np.int32) + 40,
        vocabulary=[str(token) for token in range(300)],
        model=str(model),
        corpus="random",
        bos=BOS,
        special=(BOS, SEPARATOR),
        seed=0,
        corpus_sha256="0" * 64,
        leak=0.0,
        n_documents_train=5,
        n_documents_held_out=5,
        n_documents_fragments=5,
    )


@pytest.fixture(scope="module")
def tokens(corpus, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tokens") / "tokens.h5"
    token_files.save(path, corpus)
    return path


def a_slice(model: Path, sites=SITES, seed: int | None = None, **options) -> ActivationsSlice:
    settings = Activations(**({"dtype": "float32", "block_rows": 32} | options))
    return ActivationsSlice(
        model=Model(name=str(model)), members=dict.fromkeys(sites), activations=settings, random_seed=seed
    )


@pytest.fixture(scope="module")
def harvested(model, tokens, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("harvested")
    activations.run(a_slice(model), tokens=tokens, output=output, threads=1)
    return output


def expected_rows(model: Path, blocks: Blocks) -> dict[str, list]:
    """One block at a time through plain transformers, token by token: [vector by layer, token, document, position]."""
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    found: dict[str, list] = {"layer0_residual": [], "layer1_residual": [], "token": [], "document": [], "position": []}
    outputs: list[torch.Tensor] = []
    for layer in network.gpt_neox.layers:
        layer.register_forward_hook(lambda *args: outputs.append(args[-1][0]))
    for row, documents in zip(blocks.tokens.tolist(), blocks.document.tolist(), strict=True):
        outputs.clear()
        with torch.no_grad():
            network(torch.tensor([row]))
        for position, (token, document) in enumerate(zip(row, documents, strict=True)):
            if token not in (BOS, SEPARATOR):
                for layer, output in enumerate(outputs):
                    found[f"layer{layer}_residual"].append(output[position])
                for name, value in (("token", token), ("document", document), ("position", position)):
                    found[name].append(value)
    return found


@pytest.mark.parametrize("name", ["train", "held_out", "fragments"])
def test_each_split_holds_the_residual_stream_of_its_text_tokens(harvested, model, corpus, name):
    repeated = np.repeat(corpus.fragments_document[:, None], 8, axis=1)
    blocks = Blocks(corpus.fragments, repeated) if name == "fragments" else getattr(corpus, name)
    expected = expected_rows(model, blocks)
    for site in SITES:
        with open_activations(harvested / f"{site}.h5") as file:
            assert (file.site, file.model, file.corpus) == (site, str(model), "random")
            assert (file.n_layers, file.d_act, file.block_rows) == (2, 32, 32)
            split = file.split(name)
            torch.testing.assert_close(split.read(0, split.n_rows), torch.stack(expected[site]), rtol=0, atol=1e-5)
            for column in ("token", "document", "position"):
                assert getattr(split, column).tolist() == expected[column]


def test_fragments_are_whole(harvested, corpus):
    with open_activations(harvested / f"{SITES[0]}.h5") as file:
        assert file.split("fragments").n_rows == 5 * corpus.fragment_tokens
        np.testing.assert_array_equal(file.split("fragments").token.reshape(5, 7), corpus.fragments[:, 1:])


def test_special_tokens_are_in_training_if_asked_for_and_padding_never_is(harvested, model, corpus, tmp_path):
    padding = corpus.train.tokens == SEPARATOR  # as where blocks are padded with what ends a document
    padding[:10] = False
    document = np.where(padding, token_files.PADDING, corpus.train.document)
    asked = replace(corpus, train=Blocks(corpus.train.tokens, document), train_on_special=True)
    token_files.save(tmp_path / "tokens.h5", asked)
    activations.run(a_slice(model), tokens=tmp_path / "tokens.h5", output=tmp_path, threads=1)
    with open_activations(tmp_path / f"{SITES[0]}.h5") as file, open_activations(harvested / f"{SITES[0]}.h5") as old:
        split, text = file.split("train"), old.split("train")
        np.testing.assert_array_equal(split.token, corpus.train.tokens[~padding])
        np.testing.assert_array_equal(split.document, corpus.train.document[~padding])
        is_text = torch.from_numpy(corpus.is_text(np.asarray(split.token)))
        assert 0 < is_text.sum() < len(is_text)
        assert torch.equal(split.read(0, split.n_rows)[is_text], text.read(0, text.n_rows))
        for name in ("held_out", "fragments"):
            assert file.split(name).token.tolist() == old.split(name).token.tolist()


@pytest.mark.parametrize("batch_tokens", [1, 30, 10_000])
def test_the_batch_size_changes_rounding_at_most(harvested, model, tokens, tmp_path, batch_tokens):
    activations.run(a_slice(model, batch_tokens=batch_tokens), tokens=tokens, output=tmp_path, threads=1)
    for site in SITES:
        with open_activations(tmp_path / f"{site}.h5") as one, open_activations(harvested / f"{site}.h5") as other:
            for name in ("train", "held_out", "fragments"):
                n = other.split(name).n_rows
                torch.testing.assert_close(one.split(name).read(0, n), other.split(name).read(0, n), rtol=0, atol=1e-5)
                np.testing.assert_array_equal(one.split(name).token, other.split(name).token)


def test_a_rerun_gives_the_same_bytes(harvested, model, tokens, tmp_path):
    activations.run(a_slice(model), tokens=tokens, output=tmp_path, threads=1)
    for site in SITES:
        assert (tmp_path / f"{site}.h5").read_bytes() == (harvested / f"{site}.h5").read_bytes()


def test_bfloat16_reaches_the_forward_pass_and_depends_on_no_thread(harvested, model, tokens, tmp_path):
    rough = a_slice(model, precision="bfloat16", batch_tokens=30)
    for threads in (1, 2):
        activations.run(rough, tokens=tokens, output=tmp_path / str(threads), threads=threads)
    for site in SITES:
        found, again = ((tmp_path / threads / f"{site}.h5").read_bytes() for threads in "12")
        assert found == again
        with (
            open_activations(tmp_path / "1" / f"{site}.h5") as one,
            open_activations(harvested / f"{site}.h5") as other,
        ):
            x, exact = (file.split("train").read(0, 200) for file in (one, other))
        assert 1e-5 < float((x - exact).norm() / exact.norm()) < 2e-2


def test_a_site_is_the_same_bytes_in_a_pass_of_its_own(harvested, model, tokens, tmp_path):
    for site in SITES:
        activations.run(a_slice(model, sites=(site,)), tokens=tokens, output=tmp_path / site, threads=2)
        assert [file.name for file in (tmp_path / site).iterdir()] == [f"{site}.h5"]
        assert (tmp_path / site / f"{site}.h5").read_bytes() == (harvested / f"{site}.h5").read_bytes()


def test_control_sites_come_from_random_weights(harvested, model, tokens, tmp_path):
    vectors = {}
    for seed in (0, 1):
        settings = a_slice(model, sites=("random_layer1_residual",), seed=seed)
        activations.run(settings, tokens=tokens, output=tmp_path / str(seed), threads=1)
        with open_activations(tmp_path / str(seed) / "random_layer1_residual.h5") as file:
            assert file.site == "random_layer1_residual"
            vectors[seed] = file.split("train").read(0, 50)
    with open_activations(harvested / "layer1_residual.h5") as file:
        trained = file.split("train").read(0, 50)
    # The tiny model is itself untrained, from seed 0 of the same initialisation.
    torch.testing.assert_close(vectors[0], trained, rtol=0, atol=1e-5)
    assert not torch.allclose(vectors[1], trained, atol=1e-2)


def test_a_value_that_cannot_be_stored_stops_all_sites(model, corpus, tmp_path):
    broken = make_tiny_model(tmp_path / "broken", layers=2)
    weights = load_file(broken / "model.safetensors")
    token_files.save(tmp_path / "tokens.h5", Tokens(**(vars(corpus) | {"model": str(broken)})))

    def run(dtype: str) -> None:
        save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
        settings = a_slice(broken, dtype=dtype)
        activations.run(settings, tokens=tmp_path / "tokens.h5", output=tmp_path / "o", threads=1)

    weights["gpt_neox.layers.1.mlp.dense_4h_to_h.bias"][3] = 1e6
    with pytest.raises(
        BadInput, match=r"layer1_residual: train: block 0, .*1e\+06, too large for float16.*bfloat16 or"
    ):
        run("float16")
    weights["gpt_neox.layers.1.mlp.dense_4h_to_h.bias"][3] = 0
    # A token of broken embedding spoils its whole block: masked attention adds -inf to nan, which is nan.
    token = int(corpus.train.tokens[20, 5])
    weights["gpt_neox.embed_in.weight"][token] = float("nan")
    block = int((corpus.train.tokens == token).any(1).argmax())
    row = int(corpus.is_text(corpus.train.tokens[:block]).sum())
    with pytest.raises(
        BadInput, match=rf"residual: train: block {row // 32}, vector {row} \(token \d+ at .*not finite"
    ):
        run("float32")
    assert list((tmp_path / "o").iterdir()) == []


def test_no_site_appears_when_another_cannot_be_completed(model, tokens, tmp_path, monkeypatch):
    finish, calls = ActivationsWriter.finish, []

    def fail_at_the_second(writer: ActivationsWriter) -> None:
        calls.append(writer)
        if len(calls) == 2:
            raise OSError("no space left on device")
        finish(writer)

    monkeypatch.setattr(ActivationsWriter, "finish", fail_at_the_second)
    with pytest.raises(OSError, match="no space left"):
        activations.run(a_slice(model), tokens=tokens, output=tmp_path / "o", threads=1)
    assert list((tmp_path / "o").iterdir()) == []


def test_a_model_that_was_moved_or_copied_reads_its_tokens(model, tokens, tmp_path):
    copy = make_tiny_model(tmp_path / "copy", layers=2)
    activations.run(a_slice(copy, sites=("layer0_residual",)), tokens=tokens, output=tmp_path / "o", threads=1)
    assert (tmp_path / "o" / "layer0_residual.h5").is_file()


def test_bad_input_is_named_before_anything_is_written(model, corpus, tokens, tmp_path):
    with pytest.raises(BadInput, match="site layer2_residual: found layer 2; wanted a layer from 0 to 1"):
        activations.run(
            a_slice(model, sites=("layer0_residual", "layer2_residual")),
            tokens=tokens,
            output=tmp_path / "o",
            threads=1,
        )
    with pytest.raises(BadInput, match="site: found 'layer1_logits'"):
        activations.run(a_slice(model, sites=("layer1_logits",)), tokens=tokens, output=tmp_path / "o", threads=1)
    other = make_tiny_model(tmp_path / "other", layers=1)
    (other / "tokenizer.json").write_text((other / "tokenizer.json").read_text() + " ")
    with pytest.raises(BadInput, match=f"tokens.h5: found tokens of model {model}; wanted tokens of {other}"):
        activations.run(a_slice(other, sites=("layer0_residual",)), tokens=tokens, output=tmp_path / "o", threads=1)
    assert not (tmp_path / "o").exists()


def test_a_progress_bar_counts_tokens(model, corpus, tokens, tmp_path, capsys):
    activations.run(a_slice(model), tokens=tokens, output=tmp_path, threads=1)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "activations: 100%" in shown.err
    assert f"{27 * CONTEXT + 5 * 8}/{27 * CONTEXT + 5 * 8}" in shown.err


@pytest.mark.parametrize("architecture", ["bert", "roberta", "gpt2"])
def test_vectors_of_text_do_not_depend_on_padding(corpus, tmp_path, architecture):
    """Blocks of one document each, against passes of the documents alone."""
    folder = make_checkpoint(tmp_path / "model", architecture)
    lengths = [3, 11, 12, 7]
    blocks = random_blocks(4, CONTEXT, 3, separators=False)
    document = np.repeat(np.arange(4, dtype=np.int32)[:, None], CONTEXT, axis=1)
    for row, length in enumerate(lengths):
        blocks.tokens[row, length:], document[row, length:] = SEPARATOR, token_files.PADDING
    blocks = Blocks(blocks.tokens, document)
    padded = replace(corpus, train=blocks, held_out=blocks, model=str(folder))
    token_files.save(tmp_path / "tokens.h5", padded)
    activations.run(a_slice(folder, batch_tokens=30), tokens=tmp_path / "tokens.h5", output=tmp_path, threads=1)
    model = LanguageModel.load(Model(name=str(folder)))
    alone = [
        model.harvest(torch.from_numpy(tokens[None, :length].astype(np.int64)), [Site(1, "residual")])
        for tokens, length in zip(blocks.tokens, lengths, strict=True)
    ]
    expected = torch.cat([found["layer1_residual"][0, 1:] for found in alone])
    with open_activations(tmp_path / "layer1_residual.h5") as file:
        for split in (file.split("train"), file.split("held_out")):
            torch.testing.assert_close(split.read(0, split.n_rows), expected, rtol=0, atol=1e-4)


def test_a_tokenizer_may_have_tokens_more_than_the_model(harvested, model, corpus, tmp_path):
    more = replace(corpus, vocabulary=[*corpus.vocabulary, "<image>"])
    token_files.save(tmp_path / "tokens.h5", more)
    activations.run(a_slice(model), tokens=tmp_path / "tokens.h5", output=tmp_path, threads=1)
    assert (tmp_path / f"{SITES[0]}.h5").read_bytes() == (harvested / f"{SITES[0]}.h5").read_bytes()


def test_tokens_and_blocks_that_the_model_cannot_take_are_named(model, corpus, tmp_path):
    foreign = Blocks(corpus.held_out.tokens.copy(), corpus.held_out.document)
    foreign.tokens[2, 5] = 300
    long = random_blocks(3, 65, 4)
    for changes, message in (
        ({"held_out": foreign}, r"found token 300; wanted tokens below 300, the model's vocabulary"),
        ({"train": long, "held_out": long}, r"found blocks of 65 tokens; wanted at most 64 with .*tiny: a smaller"),
    ):
        token_files.save(tmp_path / "tokens.h5", replace(corpus, **changes))
        with pytest.raises(BadInput, match=message):
            activations.run(a_slice(model), tokens=tmp_path / "tokens.h5", output=tmp_path / "o", threads=1)
    assert not (tmp_path / "o").exists()

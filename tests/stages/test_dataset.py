"""Stage dataset: what tokens.h5 promises holds, and what cannot be is refused."""

from itertools import islice
from pathlib import Path

import h5py
import numpy as np
import pytest
from transformers import AutoTokenizer, GPTNeoXConfig

from sparse_coding.errors import BadInput
from sparse_coding.io import tokens as tokens_file
from sparse_coding.io.tokens import NO_DOCUMENT, PADDING, Blocks, Tokens
from sparse_coding.lm import corpora, tokenizing
from sparse_coding.lm.corpora import pydocs
from sparse_coding.lm.corpora.documents import Source
from sparse_coding.lm.tokens import Framing, encode
from sparse_coding.settings.params import Dataset, Model
from sparse_coding.settings.slices import DatasetSlice
from sparse_coding.stages import dataset

WORDS = [f"{first}{last}" for first in ("de", "co", "ma", "spar") for last in ("", "s", "trix", "ding", " se")]
SMALL = {"context": 16, "train_tokens": 1500, "held_out_tokens": 200, "fragments": 20, "fragment_tokens": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of 200 small files, and a model folder with tokenizer and configuration."""
    folder = tmp_path_factory.mktemp("dataset")
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(WORDS, random.integers(3, 40))) for _ in range(200)]
    texts[17] += " <|endoftext|> " + texts[18]
    (folder / "corpus").mkdir()
    for index, text in enumerate(texts):
        (folder / "corpus" / f"{index:03d}.txt").write_text(text)
    tokenizing.train_tokenizer(texts, 300).save_pretrained(folder / "model")
    GPTNeoXConfig(max_position_embeddings=32, vocab_size=300).save_pretrained(folder / "model")
    return folder


def make(folder: Path, output: Path, **changes: object) -> Tokens:
    settings = DatasetSlice(
        model=Model(name=str(folder / "model")),
        dataset=Dataset(**({"corpus": str(folder / "corpus"), "held_out_share": 0.2, **SMALL} | changes)),
    )
    dataset.run(settings, output=output, threads=1)
    return tokens_file.load(output / "tokens.h5")


def test_blocks_and_fragments_are_what_was_asked_for(folder: Path, tmp_path: Path) -> None:
    tokens = make(folder, tmp_path)
    assert (tokens.bos, tokens.special, tokens.context, tokens.fragment_tokens) == (0, (0,), 16, 8)
    assert tokens.fragments.shape == (20, 9)
    for blocks, wanted in ((tokens.train, 1500), (tokens.held_out, 200)):
        n_text = tokens.is_text(blocks.tokens).sum(axis=1)
        assert n_text.sum() >= wanted > n_text[:-1].sum()
        assert (blocks.tokens[:, 0] == 0).all()
        assert (blocks.document[:, 0] == NO_DOCUMENT).all()
        assert (blocks.document[:, 1:] >= 0).all()
    assert tokens.is_text(tokens.fragments[:, 1:]).all()
    assert not tokens.is_text(tokens.fragments[:, 0]).any()


def test_every_token_comes_from_the_document_it_names(folder: Path, tmp_path: Path) -> None:
    tokens = make(folder, tmp_path)
    documents = corpora.load(Source(str(folder / "corpus")), held_out_share=0.2, seed=0)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    assert tokens.corpus_sha256 == documents.sha256
    for blocks, texts in ((tokens.train, documents.train), (tokens.held_out, documents.held_out)):
        ids = dict(enumerate(encode(tokenizer, texts)))
        stream, owner = blocks.tokens[:, 1:].ravel(), blocks.document[:, 1:].ravel()
        borders = [0, *(np.flatnonzero(np.diff(owner)) + 1), len(owner)]
        used = [int(owner[start]) for start in borders[:-1]]
        assert len(set(used)) == len(used)
        for start, stop, index in zip(borders, borders[1:], used, strict=False):
            whole = [*ids[index].tolist(), 0]
            assert stream[start:stop].tolist() == (whole if stop < len(owner) else whole[: stop - start])
    for row, index in zip(tokens.fragments[:, 1:], tokens.fragments_document, strict=True):
        text = encode(tokenizer, [documents.train[index]])[0].tolist()
        assert any(text[i : i + 8] == row.tolist() for i in range(len(text)))


def test_documents_of_fragments_give_no_activations(folder: Path, tmp_path: Path) -> None:
    tokens = make(folder, tmp_path)
    assert not set(tokens.fragments_document.tolist()) & set(tokens.train.document.ravel().tolist())
    assert tokens.n_documents_fragments == len(set(tokens.fragments_document.tolist()))
    assert tokens.n_documents_train == len(set(tokens.train.document.ravel().tolist())) - 1


def test_two_runs_give_the_same_bytes_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    make(folder, tmp_path / "a")
    make(folder, tmp_path / "b")
    other = make(folder, tmp_path / "c", seed=1)
    assert (tmp_path / "a" / "tokens.h5").read_bytes() == (tmp_path / "b" / "tokens.h5").read_bytes()
    assert (tokens_file.load(tmp_path / "a" / "tokens.h5").fragments != other.fragments).any()


def test_without_bos_every_column_is_text_or_separator(folder: Path, tmp_path: Path) -> None:
    tokens = make(folder, tmp_path, bos="never")
    assert tokens.bos is None
    assert tokens.special == (0,)
    assert tokens.fragments.shape == (20, 8)
    assert (tokens.train.document >= 0).all()


def test_the_leak_is_measured_on_the_documents_that_are_used(folder: Path, tmp_path: Path) -> None:
    text = " ".join(map(str, range(40)))
    (tmp_path / "corpus").mkdir()
    for index in range(60):
        (tmp_path / "corpus" / f"{index}.txt").write_text(text)
    asked = {"corpus": str(tmp_path / "corpus"), "train_tokens": 500, "held_out_tokens": 100}
    assert make(folder, tmp_path, **asked).leak == 1
    assert make(folder, tmp_path).leak < 0.05


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_tokens": 10**6}, r"dataset\.train_tokens: found \d+ text tokens .* of .*corpus; wanted 1000000; ask"),
        ({"held_out_tokens": 10**6}, r"dataset\.held_out_tokens: found \d+ text tokens .* held-out documents"),
        ({"fragments": 10**5}, r"dataset\.fragments: found \d+ fragments of 8 tokens .*; wanted 100000; ask"),
        ({"context": 33}, r"dataset\.context: found 33; wanted at most 32: max_position_embeddings in .*config\.json"),
        ({"fragment_tokens": 32}, r"dataset\.fragment_tokens: found 32 and BOS; wanted at most 32 in all"),
    ],
)
def test_too_much_is_refused_and_leaves_nothing(folder: Path, tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        make(folder, tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_bos_is_refused_where_the_tokenizer_has_none(folder: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    tokenizer.bos_token = None
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_bytes((folder / "model" / "config.json").read_bytes())
    corpus = str(folder / "corpus")
    with pytest.raises(BadInput, match=r"dataset\.bos: found 'always', and the tokenizer of .* has no BOS token"):
        make(tmp_path, tmp_path, corpus=corpus, bos="always")
    assert make(tmp_path, tmp_path, corpus=corpus, bos="auto").bos is None


def test_a_model_folder_without_tokenizer_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_bytes((folder / "model" / "config.json").read_bytes())
    with pytest.raises(BadInput, match="tokenizer"):
        make(tmp_path, tmp_path, corpus=str(folder / "corpus"))


def test_a_streamed_corpus_gives_the_same_bytes_and_exact_counts(folder: Path, tmp_path: Path) -> None:
    asked = {"streaming": True, "shuffle_buffer": 50, "train_tokens": 500, "held_out_tokens": 100}
    tokens = make(folder, tmp_path / "a", **asked)
    make(folder, tmp_path / "b", **asked)
    assert (tmp_path / "a" / "tokens.h5").read_bytes() == (tmp_path / "b" / "tokens.h5").read_bytes()
    settings = Dataset(corpus=str(folder / "corpus"), held_out_share=0.2, **(SMALL | asked))
    stream = corpora.opened(settings)
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    documents = {
        side: [text for _, text in islice(stream.in_order(side, 0), n)]
        for side, n in (("train", tokens.n_documents_read_train), ("held_out", tokens.n_documents_read_held_out))
    }
    assert tokens.corpus_sha256 == corpora.Documents(**documents).sha256
    n_text = {
        side: sum(int(tokens.is_text(ids).sum()) for ids in encode(tokenizer, texts))
        for side, texts in documents.items()
    }
    assert (tokens.n_tokens_read_train, tokens.n_tokens_read_held_out) == (n_text["train"], n_text["held_out"])
    assert n_text["held_out"] < 100 + 2 * 16 + 120  # the last document, and one block more
    for blocks, count in ((tokens.train, tokens.n_tokens_train), (tokens.held_out, tokens.n_tokens_held_out)):
        assert count == tokens.is_text(blocks.tokens).sum()
    assert not set(documents["train"]) & set(documents["held_out"])
    assert tokens.leak < 0.05


def test_a_stream_is_as_long_as_it_must_be_whatever_is_asked(folder: Path, tmp_path: Path) -> None:
    few = make(folder, tmp_path / "a", streaming=True, train_tokens=300)
    many = make(folder, tmp_path / "b", streaming=True, train_tokens=1200)
    np.testing.assert_array_equal(few.train.tokens, many.train.tokens[: len(few.train.tokens)])
    np.testing.assert_array_equal(few.held_out.tokens, many.held_out.tokens)
    np.testing.assert_array_equal(few.fragments, many.fragments)
    assert few.n_documents_read_train < many.n_documents_read_train
    with pytest.raises(BadInput, match=r"dataset\.train_tokens: found \d+ text tokens .*; wanted 1000000; ask"):
        make(folder, tmp_path / "c", streaming=True, train_tokens=10**6)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("n_documents", [1, 2])
def test_one_or_two_large_documents_are_enough(
    folder: Path, tmp_path: Path, n_documents: int, streaming: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    (tmp_path / "corpus").mkdir()
    for index in range(n_documents):
        text = "\n".join(" ".join(random.choice(WORDS, 12)) for _ in range(1500))
        (tmp_path / "corpus" / f"{index}.txt").write_text(text)
    tokens = make(folder, tmp_path, corpus=str(tmp_path / "corpus"), streaming=streaming)
    assert tokens.is_text(tokens.train.tokens).sum() >= 1500
    assert tokens.is_text(tokens.held_out.tokens).sum() >= 200
    assert len(tokens.fragments) == 20
    assert tokens.leak < 0.05
    assert f"{n_documents} large of {n_documents} document(s) cut into" in capsys.readouterr().err


def test_a_block_a_document_is_padded_and_padding_is_no_text(folder: Path, tmp_path: Path) -> None:
    tokens = make(folder, tmp_path, packing="documents")
    for blocks, wanted in ((tokens.train, 1500), (tokens.held_out, 200)):
        padding = blocks.document == PADDING
        assert padding.any()
        assert not tokens.is_text(blocks.tokens)[padding].any()
        for document in blocks.document:
            assert len(set(document.tolist()) - {NO_DOCUMENT, PADDING}) == 1
            assert (np.diff((document == PADDING).astype(int)) >= 0).all()
        assert tokens.is_text(blocks.tokens).sum() >= wanted > tokens.is_text(blocks.tokens[:-1]).sum()
    assert not tokens.is_harvested("held_out", tokens.held_out)[tokens.held_out.document < 0].any()
    assert tokens.n_documents_train == len(tokens.train.tokens)


@pytest.mark.parametrize("packing", ["packed", "documents"])
def test_special_tokens_may_be_trained_on_but_not_padding(folder: Path, tmp_path: Path, packing: str) -> None:
    tokens = make(folder, tmp_path, packing=packing, train_on_special=True)
    kept = tokens.is_harvested("train", tokens.train)
    assert (kept == (tokens.train.document != PADDING)).all()
    assert kept.sum() > tokens.is_text(tokens.train.tokens).sum() == tokens.n_tokens_train
    assert (tokens.is_harvested("held_out", tokens.held_out) == tokens.is_text(tokens.held_out.tokens)).all()
    fragments = Blocks(tokens.fragments, np.broadcast_to(tokens.fragments_document[:, None], tokens.fragments.shape))
    assert tokens.is_harvested("fragments", fragments).sum() == tokens.fragments[:, 1:].size


def test_texts_of_an_encoder_are_framed_as_in_its_training(folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    tokenizer.bos_token = tokenizer.eos_token = None
    tokenizer.add_special_tokens({"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]"})
    first, last, padding = tokenizer.convert_tokens_to_ids(["[CLS]", "[SEP]", "[PAD]"])
    found = dataset.framing_of(tokenizer, Dataset(), "bert")
    assert found == Framing(first, last, tuple(sorted({first, last, padding})), padding)


def test_blocks_cannot_be_padded_with_nothing(folder: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token = None
    with pytest.raises(BadInput, match=r"dataset\.packing: found 'documents', and the tokenizer of gpt has no padding"):
        dataset.framing_of(tokenizer, Dataset(packing="documents"), "gpt")


def test_the_embedded_corpus_has_the_attributes_that_it_always_had(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made tokens of it before finds the same bytes."""
    small = {"jaxtyping": {"split": "train"}, "h5py": {"split": "held_out"}}  # two of its packages
    monkeypatch.setattr(pydocs, "build", lambda processes: pydocs.rebuild(small, processes)[0])
    make(folder, tmp_path, corpus="pydocs")
    wanted = (
        "bos context corpus corpus_sha256 format fragment_tokens leak model n_documents_fragments n_documents_held_out "
        "n_documents_train seed sha256 special"
    )
    with h5py.File(tmp_path / "tokens.h5") as file:
        assert sorted(file.attrs) == wanted.split()

"""Blocks and fragments: nothing is lost, nothing is invented, nothing is used twice."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from sparse_coding.interp.token_texts import TokenTexts
from sparse_coding.io.tokens import NO_DOCUMENT, PADDING
from sparse_coding.lm import tokenizing
from sparse_coding.lm.tokens import (
    Counted,
    Framing,
    cut_fragments,
    encode,
    encoded,
    n_ids,
    one_each,
    pack,
    pack_until,
    vocabulary,
    with_first,
)

SPECIAL = (0, 1)
# Token 2 and above is text; 0 and 1 may stand in a text all the same.
documents_of_ids = st.lists(
    st.lists(st.integers(0, 6), max_size=12).map(lambda ids: np.array(ids, np.int32)), max_size=9
)


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizing.train_tokenizer(["some words, and words again: caf\u00e9 \u4e2d\u6587"] * 9, 280)


@given(documents_of_ids, st.integers(2, 7), st.sampled_from([None, 0]), st.sampled_from([None, 1]))
def test_blocks_without_bos_are_the_documents_end_to_end(documents, context, bos, separator) -> None:
    blocks = pack(documents, context, bos, separator)
    stream = [(t, d) for d, ids in enumerate(documents) for t in [*ids.tolist(), *([] if separator is None else [1])]]
    first = 0 if bos is None else 1
    text = zip(blocks.tokens[:, first:].ravel().tolist(), blocks.document[:, first:].ravel().tolist(), strict=True)
    packed = list(text)
    assert packed == stream[: len(packed)]
    assert len(stream) - len(packed) < context - first
    assert blocks.tokens.shape == blocks.document.shape
    assert blocks.tokens.dtype == blocks.document.dtype == np.int32
    if bos is not None:
        assert (blocks.tokens[:, 0] == bos).all()
        assert (blocks.document[:, 0] == NO_DOCUMENT).all()


@settings(max_examples=100)
@given(documents_of_ids, st.integers(2, 7), st.integers(1, 30), st.sampled_from([None, 0]), st.sampled_from([None, 1]))
def test_pack_until_takes_no_more_than_it_needs(documents, context, text_tokens, bos, separator) -> None:
    framing = Framing(bos, separator, SPECIAL)
    numbered = [(100 + d, ids) for d, ids in enumerate(documents)]
    rest = iter(numbered)
    blocks = pack_until(rest, text_tokens, context, framing)
    whole = pack(documents, context, bos, separator)
    np.testing.assert_array_equal(blocks.tokens, whole.tokens[: len(blocks.tokens)])
    shifted = np.where(whole.document == NO_DOCUMENT, NO_DOCUMENT, whole.document + 100)
    np.testing.assert_array_equal(blocks.document, shifted[: len(blocks.tokens)])

    def text(tokens: np.ndarray) -> int:
        return int((tokens > 1).sum())

    if len(blocks.tokens) < len(whole.tokens):
        assert text(blocks.tokens) >= text_tokens
    assert text(blocks.tokens[:-1]) < text_tokens
    taken = len(numbered) - len(list(rest))
    needed = sum(text(ids) for _, ids in numbered[: max(taken - 1, 0)])
    assert needed < text_tokens + context


@settings(max_examples=100)
@given(documents_of_ids, st.integers(2, 7), st.integers(1, 30), st.sampled_from([None, 0]), st.sampled_from([None, 1]))
def test_one_each_is_a_document_a_block(documents, context, text_tokens, bos, separator) -> None:
    framing = Framing(bos, separator, SPECIAL, padding=1)
    rest = Counted(iter((100 + d, ids) for d, ids in enumerate(documents)), SPECIAL)
    blocks = one_each(rest, text_tokens, context, framing)
    first = 0 if bos is None else 1
    ends = [] if separator is None else [1]
    cut = {100 + d: [*ids.tolist(), *ends][: context - first] for d, ids in enumerate(documents)}
    wanted = {d: ids for d, ids in cut.items() if any(token > 1 for token in ids) and d < 100 + rest.documents}
    assert blocks.tokens.shape == blocks.document.shape == (len(wanted), context)
    assert blocks.tokens.dtype == blocks.document.dtype == np.int32
    for tokens, document, (d, ids) in zip(blocks.tokens, blocks.document, wanted.items(), strict=True):
        n_padding = context - first - len(ids)
        assert tokens.tolist() == [bos] * first + ids + [1] * n_padding
        assert document.tolist() == [NO_DOCUMENT] * first + [d] * len(ids) + [PADDING] * n_padding
    n_text = [sum(token > 1 for token in ids) for ids in wanted.values()]
    assert sum(n_text[:-1]) < text_tokens
    assert sum(n_text) >= text_tokens or rest.documents == len(documents)
    assert rest.text_tokens == sum(int((ids > 1).sum()) for ids in documents[: rest.documents])


@settings(max_examples=100)
@given(documents_of_ids, st.integers(1, 12), st.integers(2, 4), st.integers(0, 3))
def test_fragments_are_windows_of_text_that_do_not_overlap(documents, n, length, seed) -> None:
    # Each token says where it stands, so that an overlap shows.
    marked = [(d, np.where(ids < 2, ids, 100 * (d + 1) + np.arange(len(ids)))) for d, ids in enumerate(documents)]
    rest = iter(marked)
    fragments, owners = cut_fragments(rest, n, length, SPECIAL, np.random.default_rng(seed))
    assert fragments.shape == (len(owners), length)
    assert len(fragments) <= n
    assert (fragments > 1).all()
    assert len(np.unique(fragments)) == fragments.size
    for row, owner in zip(fragments.tolist(), owners.tolist(), strict=True):
        assert row == list(range(row[0], row[0] + length))
        assert row[0] // 100 == owner + 1
    if len(fragments) < n:
        assert next(rest, None) is None
    again = cut_fragments(iter(marked), n, length, SPECIAL, np.random.default_rng(seed))
    np.testing.assert_array_equal(again[0], fragments)


def test_a_document_gives_every_window_that_fits() -> None:
    for seed in range(5):
        stream = iter([(0, np.arange(2, 21, dtype=np.int32))])
        fragments, _ = cut_fragments(stream, 99, 5, SPECIAL, np.random.default_rng(seed))
        assert len(fragments) == 3


def test_texts_are_tokenised_when_they_are_asked_for(tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparse_coding.lm.tokens.TEXTS_AT_ONCE", 3)
    texts: list = [(d, text) for d, text in enumerate(["words", "and", "some words", "again"] * 3)]
    wanted = [(d, encode(tokenizer, [text])[0].tolist()) for d, text in texts]
    assert [(d, ids.tolist()) for d, ids in encoded(tokenizer, iter(texts))] == wanted
    rest = iter(texts)
    stream = encoded(tokenizer, rest)
    assert [next(stream)[0] for _ in range(3)] == [0, 1, 2]
    assert list(rest) == texts[3:]


def test_no_special_token_is_added(tokenizer) -> None:
    assert encode(tokenizer, []) == []
    ids = encode(tokenizer, ["some words", ""])
    assert tokenizer.decode(ids[0]) == "some words"
    assert 0 not in ids[0]
    assert len(ids[1]) == 0


def test_the_vocabulary_spells_the_text(tokenizer) -> None:
    words = vocabulary(tokenizer)
    assert len(words) == len(tokenizer) == len(tokenizer.get_vocab())
    assert words[0] == "<|endoftext|>"
    assert " words" in words
    assert "\0" in words
    text = " some words, again"
    assert "".join(words[token] for token in encode(tokenizer, [text])[0]) == text
    (part,) = set(encode(tokenizer, ["\u00ff"])[0][:1].tolist())  # the first of two bytes of a character
    assert words[part] == "\ufffd"


def test_a_tokenizer_that_marks_word_starts_keeps_its_spaces() -> None:
    from tokenizers import decoders, models, pre_tokenizers

    words = {"<unk>": 0, "\u2581a": 1, "\u2581the": 2, "s": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    assert vocabulary(PreTrainedTokenizerFast(tokenizer_object=tokenizer)) == ["<unk>", " a", " the", "s"]


@pytest.mark.parametrize("unused", [5, 300])
def test_a_vocabulary_with_holes_has_a_text_for_each_id(tokenizer, unused) -> None:
    """Its last tokens stand above the number of tokens, as in ConvBERT."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    words = state["model"]["vocab"]
    for word in sorted(words, key=words.get)[-15:]:
        words[word] += unused
    holed = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)))
    found, whole = vocabulary(holed), vocabulary(tokenizer)
    assert len(found) == n_ids(holed) == len(holed) + unused
    assert found == [*whole[:-15], *[""] * unused, *whole[-15:]]
    largest = np.array([[len(found) - 1, len(found) - 16]])
    texts = TokenTexts(found)
    assert [texts.texts[number] for number in texts.fold(largest)[0]] == [whole[-1].strip().casefold(), ""]


def test_with_first_puts_a_column_before() -> None:
    np.testing.assert_array_equal(with_first(np.array([[1], [2]], np.int32), 7), [[7, 1], [7, 2]])

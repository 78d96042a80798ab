"""From texts to blocks and fragments of tokens, with the beginning-of-sequence token handled in the open."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from sparse_coding.io.tokens import NO_DOCUMENT, PADDING, Blocks, is_text

Document = tuple[int, NDArray[np.int32]]  # its index in the corpus, and its token ids

TEXTS_AT_ONCE = 256


@dataclass(frozen=True)
class Framing:
    """The tokens that are no text: `bos` begins each block, `separator` ends each document, `special` has them all.

    `padding`, one of them, fills blocks of one document.
    """

    bos: int | None
    separator: int | None
    special: tuple[int, ...]
    padding: int | None = None


@dataclass
class Counted(Iterator[Document]):
    """Documents, and how many of them, with how many text tokens, were taken so far."""

    source: Iterator[Document]
    special: tuple[int, ...]
    documents: int = 0
    text_tokens: int = 0

    def __next__(self) -> Document:
        """The next document."""
        document = next(self.source)
        self.documents += 1
        self.text_tokens += int(is_text(document[1], self.special).sum())
        return document


def encode(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> list[NDArray[np.int32]]:
    """Each text as token ids, without special tokens."""
    if not texts:
        return []
    ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
    return [np.asarray(row, dtype=np.int32) for row in ids]


def encoded(tokenizer: PreTrainedTokenizerBase, documents: Iterator[tuple[int, str]]) -> Iterator[Document]:
    """Numbered texts, tokenised as they are asked for: a stage seldom needs the whole corpus."""
    while some := list(islice(documents, TEXTS_AT_ONCE)):
        indices, texts = zip(*some, strict=True)
        yield from zip(indices, encode(tokenizer, list(texts)), strict=True)


def pack(documents: list[NDArray[np.int32]], context: int, bos: int | None, separator: int | None) -> Blocks:
    """Documents end to end, each followed by `separator`, cut into whole blocks of `context` tokens.

    With `bos`, each block begins with it and holds `context - 1` tokens of text. A rest shorter than a block
    is dropped.
    """
    end = [] if separator is None else [separator]
    pieces = [np.concatenate([ids, np.asarray(end, np.int32)]) for ids in documents]
    stream = np.concatenate(pieces) if pieces else np.zeros(0, np.int32)
    owner = np.repeat(np.arange(len(pieces), dtype=np.int32), [len(piece) for piece in pieces])
    width = context - (bos is not None)
    n_blocks = len(stream) // width
    tokens = stream[: n_blocks * width].reshape(n_blocks, width)
    document = owner[: n_blocks * width].reshape(n_blocks, width)
    if bos is None:
        return Blocks(tokens.astype(np.int32), document)
    return Blocks(with_first(tokens, bos), with_first(document, NO_DOCUMENT))


def pack_until(documents: Iterator[Document], text_tokens: int, context: int, framing: Framing) -> Blocks:
    """The fewest whole blocks, from the first documents, that hold `text_tokens` tokens beside the special ones.

    Fewer where the documents run out. No document is taken from the iterator that is not needed.
    """
    taken: list[Document] = []
    missing = text_tokens + context  # one block more: packing drops a rest
    while missing > 0 and (document := next(documents, None)) is not None:
        taken.append(document)
        missing -= int(is_text(document[1], framing.special).sum())
    blocks = pack([ids for _, ids in taken], context, framing.bos, framing.separator)
    held = np.cumsum(is_text(blocks.tokens, framing.special).sum(axis=1))
    n_blocks = int(np.searchsorted(held, text_tokens)) + 1
    # Number the documents as the corpus does; NO_DOCUMENT is -1, so it picks the last entry.
    numbers = np.asarray([index for index, _ in taken] + [NO_DOCUMENT], dtype=np.int32)
    return Blocks(blocks.tokens[:n_blocks], numbers[blocks.document[:n_blocks]])


def one_each(documents: Iterator[Document], text_tokens: int, context: int, framing: Framing) -> Blocks:
    """A block a document, with its separator, cut at `context` or padded; as few as hold `text_tokens` text tokens.

    Documents without text give no block. The document of a padding token is `PADDING`.
    """
    width, end = context - (framing.bos is not None), [] if framing.separator is None else [framing.separator]
    tokens = [np.zeros((0, width), np.int32)]
    owners, missing = tokens[:], text_tokens
    while missing > 0 and (document := next(documents, None)) is not None:
        ids = np.concatenate([document[1], np.asarray(end, np.int32)])[:width]
        if n_text := int(is_text(ids, framing.special).sum()):
            tokens.append(np.full((1, width), framing.padding, np.int32))
            owners.append(np.full((1, width), PADDING, np.int32))
            tokens[-1][0, : len(ids)], owners[-1][0, : len(ids)] = ids, document[0]
            missing -= n_text
    rows, document_of = np.concatenate(tokens), np.concatenate(owners)
    if framing.bos is None:
        return Blocks(rows, document_of)
    return Blocks(with_first(rows, framing.bos), with_first(document_of, NO_DOCUMENT))


def cut_fragments(
    documents: Iterator[Document], n: int, length: int, special: tuple[int, ...], random: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """`n` windows that do not overlap, [n, length], and the document of each, [n].

    Each document gives all the windows that fit it and hold no special token, from a random start on; the last
    one gives a random choice of its windows. Fewer than `n` where the documents run out.
    """
    windows, owners = [np.zeros((0, length), np.int32)], [np.zeros(0, np.int32)]
    missing = n
    while missing > 0 and (document := next(documents, None)) is not None:
        index, ids = document
        n_windows = len(ids) // length
        start = random.integers(len(ids) - n_windows * length + 1)
        rows = ids[start : start + n_windows * length].reshape(n_windows, length)
        rows = rows[is_text(rows, special).all(axis=1)]
        if len(rows) > missing:
            rows = rows[np.sort(random.permutation(len(rows))[:missing])]
        windows.append(rows)
        owners.append(np.full(len(rows), index, np.int32))
        missing -= len(rows)
    return np.concatenate(windows), np.concatenate(owners)


def vocabulary(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The text of each token id up to the largest; leading spaces stay, bytes that are no character give U+FFFD.

    An id that no token has is an empty text: a vocabulary may have holes.
    """
    # Some tokenizers drop the space that a text begins with, so each token is decoded behind another one.
    anchor = tokenizer("a", add_special_tokens=False)["input_ids"][:1]
    ids = set(tokenizer.get_vocab().values())
    rows = [anchor, *([*anchor, token] for token in sorted(ids))]
    before, *texts = tokenizer.batch_decode(rows, clean_up_tokenization_spaces=False)
    text_of = dict(zip(sorted(ids), (text.removeprefix(before) for text in texts), strict=True))
    return [text_of.get(token, "") for token in range(n_ids(tokenizer))]


def n_ids(tokenizer: PreTrainedTokenizerBase) -> int:
    """How many rows an embedding needs for its ids: not the number of tokens where ids have holes."""
    return max(tokenizer.get_vocab().values()) + 1


def with_first(rows: NDArray[np.int32], value: int) -> NDArray[np.int32]:
    """`value` before each row: [row, token] to [row, 1 + token]."""
    return np.concatenate([np.full((len(rows), 1), value, np.int32), rows], axis=1, dtype=np.int32)

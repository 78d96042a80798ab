"""Stage dataset: a corpus becomes token blocks and interpretation fragments.

1. Open the corpus; put its training and its held-out documents into a seeded order.
2. Cut the fragments from the first training documents, which give no activations.
3. Pack the next training documents, then the held-out ones, into as many blocks as are asked for.
   Of a corpus that is streamed, no more is read than that takes.
4. Measure how much of the held-out documents stands in the training documents.
5. Write tokens.h5.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from sparse_coding.errors import BadInput
from sparse_coding.files.model_files import longest_context
from sparse_coding.io import tokens as tokens_file
from sparse_coding.io.tokens import Blocks, Tokens, is_text
from sparse_coding.lm import corpora
from sparse_coding.lm.corpora.documents import SIDES
from sparse_coding.lm.corpora.windows import share_in
from sparse_coding.lm.loading import tokenizer_of
from sparse_coding.lm.tokens import (
    Counted,
    Document,
    Framing,
    cut_fragments,
    encoded,
    one_each,
    pack_until,
    vocabulary,
    with_first,
)
from sparse_coding.settings.params import Dataset
from sparse_coding.settings.slices import DatasetSlice


def run(settings: DatasetSlice, *, output: Path, threads: int) -> None:
    """Write the tokens that `settings` ask for to `<output>/tokens.h5`. Raises BadInput for a corpus too small."""
    dataset = settings.dataset
    tokenizer = tokenizer_of(settings.model)
    framing = framing_of(tokenizer, dataset, settings.model.name)
    _check_lengths(settings, framing)
    corpus = corpora.opened(dataset, threads)

    for_train, for_held_out = (
        Counted(encoded(tokenizer, corpus.in_order(side, dataset.seed)), framing.special) for side in SIDES
    )
    fragments, owners = _fragments(for_train, dataset, framing, np.random.default_rng((dataset.seed, 2)))
    train = _blocks(for_train, "train_tokens", dataset, framing)
    held_out = _blocks(for_held_out, "held_out_tokens", dataset, framing)

    documents = corpus.seen(for_train.documents, for_held_out.documents)
    used = [documents.held_out[index] for index in _documents(held_out)]
    tokens = Tokens(
        train=train,
        held_out=held_out,
        fragments=fragments,
        fragments_document=owners,
        vocabulary=vocabulary(tokenizer),
        model=settings.model.name,
        corpus=dataset.corpus,
        bos=framing.bos,
        special=framing.special,
        seed=dataset.seed,
        corpus_sha256=documents.sha256,
        leak=share_in(used, documents.train),
        n_documents_train=len(_documents(train)),
        n_documents_held_out=len(used),
        n_documents_fragments=len(np.unique(owners)),
        train_on_special=dataset.train_on_special,
        **({} if dataset.corpus == corpora.EMBEDDED else _counts(for_train, for_held_out, train, held_out)),
    )
    tokens_file.save(output / "tokens.h5", tokens)


def framing_of(tokenizer: PreTrainedTokenizerBase, dataset: Dataset, model: str) -> Framing:
    """The BOS, separator and special ids of a tokenizer. Raises BadInput where BOS is asked for and it has none."""
    bos, separator = tokenizer.bos_token_id, tokenizer.eos_token_id
    if bos is None and separator is None:  # what frames the texts of an encoder has other names
        bos, separator = tokenizer.cls_token_id, tokenizer.sep_token_id
    if dataset.bos == "always" and bos is None:
        raise BadInput("dataset.bos", f"'always', and the tokenizer of {model} has no BOS token", "'auto' or 'never'")
    special = {token for token in (bos, separator, tokenizer.pad_token_id) if token is not None}
    padding = next((token for token in (tokenizer.pad_token_id, separator, bos) if token is not None), None)
    if dataset.packing == "documents" and padding is None:
        found = f"'documents', and the tokenizer of {model} has no padding, EOS or BOS token to fill blocks with"
        raise BadInput("dataset.packing", found, "'packed'")
    return Framing(None if dataset.bos == "never" else bos, separator, tuple(sorted(special)), padding)


def _check_lengths(settings: DatasetSlice, framing: Framing) -> None:
    """Raises BadInput where blocks or fragments are longer than what config.json of a local model allows."""
    path = Path(settings.model.name).expanduser() / "config.json"
    if not path.is_file():
        return
    longest = longest_context(json.loads(path.read_text(encoding="utf-8")))
    if longest is None:
        return
    (key, most), bos, dataset = longest, framing.bos is not None, settings.dataset
    if dataset.context > most:
        raise BadInput("dataset.context", f"{dataset.context}", f"at most {most}: {key} in {path}")
    if dataset.fragment_tokens + bos > most:
        found = f"{dataset.fragment_tokens}{' and BOS' if bos else ''}"
        raise BadInput("dataset.fragment_tokens", found, f"at most {most} in all: {key} in {path}")


def _fragments(
    documents: Iterator[Document], dataset: Dataset, framing: Framing, choice: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The fragments [fragment, BOS + fragment_tokens] and their documents [fragment]."""
    n, length = dataset.fragments, dataset.fragment_tokens
    fragments, owners = cut_fragments(documents, n, length, framing.special, choice)
    if len(fragments) < n:
        found = f"{len(fragments)} fragments of {length} tokens in all training documents of {dataset.corpus}"
        raise BadInput("dataset.fragments", found, f"{n}; ask for fewer or shorter ones, or give a larger corpus")
    return fragments if framing.bos is None else with_first(fragments, framing.bos), owners


def _blocks(documents: Iterator[Document], setting: str, dataset: Dataset, framing: Framing) -> Blocks:
    """The blocks that the count named `setting` asks for."""
    wanted = getattr(dataset, setting)
    pack = one_each if dataset.packing == "documents" else pack_until
    blocks = pack(documents, wanted, dataset.context, framing)
    held = int(is_text(blocks.tokens, framing.special).sum())
    if held < wanted:
        of = "held-out documents" if setting == "held_out_tokens" else "training documents that gave no fragments"
        found = f"{held} text tokens in whole blocks of the {of} of {dataset.corpus}"
        raise BadInput(f"dataset.{setting}", found, f"{wanted}; ask for fewer, or give a larger corpus")
    return blocks


def _documents(blocks: Blocks) -> list[int]:
    return np.unique(blocks.document[blocks.document >= 0]).tolist()


def _counts(for_train: Counted, for_held_out: Counted, train: Blocks, held_out: Blocks) -> dict[str, int]:
    """What was read of each side, and the text tokens of it that stand in blocks."""
    return {
        "n_documents_read_train": for_train.documents,
        "n_documents_read_held_out": for_held_out.documents,
        "n_tokens_read_train": for_train.text_tokens,
        "n_tokens_read_held_out": for_held_out.text_tokens,
        "n_tokens_train": int(is_text(train.tokens, for_train.special).sum()),
        "n_tokens_held_out": int(is_text(held_out.tokens, for_held_out.special).sum()),
    }

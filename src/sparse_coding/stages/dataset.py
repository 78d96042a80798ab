"""Stage dataset: a corpus becomes token blocks and interpretation fragments.

1. Load the corpus; put its training and its held-out documents into a seeded order.
2. Cut the fragments from the first training documents, which give no activations.
3. Pack the next training documents, then the held-out ones, into as many blocks as are asked for.
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
from sparse_coding.io import tokens as tokens_file
from sparse_coding.io.tokens import NO_DOCUMENT, Blocks, Tokens, is_text
from sparse_coding.lm import corpora
from sparse_coding.lm.corpora.windows import share_in
from sparse_coding.lm.loading import tokenizer_of
from sparse_coding.lm.tokens import Document, Framing, cut_fragments, encoded, pack_until, vocabulary, with_first
from sparse_coding.params import Dataset
from sparse_coding.slices import DatasetSlice

LONGEST_CONTEXT = ("max_position_embeddings", "n_positions")  # what config.json calls it


def run(settings: DatasetSlice, *, output: Path, threads: int) -> None:
    """Write the tokens that `settings` ask for to `<output>/tokens.h5`. Raises BadInput for a corpus too small."""
    dataset = settings.dataset
    tokenizer = tokenizer_of(settings.model)
    framing = framing_of(tokenizer, dataset, settings.model.name)
    _check_lengths(settings, framing)
    documents = corpora.load(
        dataset.corpus, dataset.text_field, dataset.held_out_share, dataset.seed, threads, dataset.revision
    )

    train_order, held_out_order, choice = (np.random.default_rng((dataset.seed, stream)) for stream in range(3))
    for_train = encoded(tokenizer, documents.train, train_order.permutation(len(documents.train)))
    for_held_out = encoded(tokenizer, documents.held_out, held_out_order.permutation(len(documents.held_out)))
    fragments, owners = _fragments(for_train, dataset, framing, choice)
    train = _blocks(for_train, "train_tokens", dataset, framing)
    held_out = _blocks(for_held_out, "held_out_tokens", dataset, framing)

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
    )
    tokens_file.save(output / "tokens.h5", tokens)


def framing_of(tokenizer: PreTrainedTokenizerBase, dataset: Dataset, model: str) -> Framing:
    """The BOS, separator and special ids of a tokenizer. Raises BadInput where BOS is asked for and it has none."""
    bos, separator = tokenizer.bos_token_id, tokenizer.eos_token_id
    if dataset.bos == "always" and bos is None:
        raise BadInput("dataset.bos", f"'always', and the tokenizer of {model} has no BOS token", "'auto' or 'never'")
    special = {token for token in (bos, separator, tokenizer.pad_token_id) if token is not None}
    return Framing(None if dataset.bos == "never" else bos, separator, tuple(sorted(special)))


def _check_lengths(settings: DatasetSlice, framing: Framing) -> None:
    """Raises BadInput where blocks or fragments are longer than what config.json of a local model allows."""
    path = Path(settings.model.name).expanduser() / "config.json"
    if not path.is_file():
        return
    config = json.loads(path.read_text(encoding="utf-8"))
    bos, dataset = framing.bos is not None, settings.dataset
    for key in LONGEST_CONTEXT:
        most = config.get(key)
        if most is not None and dataset.context > most:
            raise BadInput("dataset.context", f"{dataset.context}", f"at most {most}: {key} in {path}")
        if most is not None and dataset.fragment_tokens + bos > most:
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
    blocks = pack_until(documents, wanted, dataset.context, framing)
    held = int(is_text(blocks.tokens, framing.special).sum())
    if held < wanted:
        of = "held-out documents" if setting == "held_out_tokens" else "training documents that gave no fragments"
        found = f"{held} text tokens in whole blocks of the {of} of {dataset.corpus}"
        raise BadInput(f"dataset.{setting}", found, f"{wanted}; ask for fewer, or give a larger corpus")
    return blocks


def _documents(blocks: Blocks) -> list[int]:
    return np.unique(blocks.document[blocks.document != NO_DOCUMENT]).tolist()

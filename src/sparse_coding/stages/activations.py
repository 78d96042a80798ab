"""Stage activations: a language model's activations, one HDF5 file a site.

1. Read the tokens; load the model, or its architecture with random weights.
2. Run it over training blocks, held-out blocks and fragments, all sites in one forward pass.
3. Drop the vectors of special tokens, in training perhaps of padding alone; write the rest. No file appears before all
   are complete.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from sparse_coding.errors import BadInput
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import ActivationsWriter, Header, SplitName
from sparse_coding.io.tokens import PADDING, Blocks, Tokens
from sparse_coding.lm.model import LanguageModel, Precision
from sparse_coding.lm.parallel import over_batches
from sparse_coding.settings import sites
from sparse_coding.settings.sites import Site
from sparse_coding.settings.slices import ActivationsSlice


def run(settings: ActivationsSlice, *, tokens: Path, output: Path, threads: int) -> None:
    """Write `<output>/<site>.h5` for each member of `settings`.

    Raises BadInput where the tokens are not this model's, a site is not in the model, or a vector cannot be
    stored; then no file is written.
    """
    torch.set_num_threads(1)  # a pass a thread instead, see lm.parallel
    corpus = token_files.load(tokens)
    wanted = [sites.parse(name) for name in settings.members]
    model = LanguageModel.load(settings.model, settings.random_seed)
    _check(corpus, model, tokens)
    widths = model.widths(wanted)
    splits = _splits(corpus)
    # Text before padding does not see it in a causal model, whose pass stays as it is without a mask.
    masked = any((blocks.document == PADDING).any() for blocks in splits.values()) and not model.is_causal()
    rows: dict[SplitName, int] = {name: int(corpus.is_harvested(name, blocks).sum()) for name, blocks in splits.items()}
    with ExitStack() as stack:
        writers = {
            site: stack.enter_context(
                ActivationsWriter(
                    output / f"{site.name}.h5", _header(settings, site, corpus, model, widths[site]), rows
                )
            )
            for site in wanted
        }
        with tqdm(total=sum(blocks.tokens.size for blocks in splits.values()), desc="activations", unit="token") as bar:
            for name, blocks in splits.items():
                batches = _batches(blocks, settings.activations.batch_tokens)
                harvest = partial(_harvest, wanted, settings.activations.precision, masked)
                for batch, vectors in over_batches(model, harvest, batches, threads):
                    _append(name, batch, vectors, corpus.is_harvested(name, batch), writers)
                    bar.update(batch.tokens.size)
        for writer in writers.values():
            writer.finish()


def _may_be(before: str, now: str) -> bool:
    """Whether a folder of a model may be one that had another name: it is gone, or has the same tokenizer."""
    one, other = (Path(name).expanduser() / "tokenizer.json" for name in (before, now))
    if not other.is_file() or not one.parent.is_dir():
        return other.is_file()
    return one.is_file() and one.read_bytes() == other.read_bytes()


def _check(corpus: Tokens, model: LanguageModel, path: Path) -> None:
    if corpus.model != model.name and not _may_be(corpus.model, model.name):
        raise BadInput(path, f"tokens of model {corpus.model}", f"tokens of {model.name}")
    blocks = [each.tokens for each in _splits(corpus).values()]
    # Not the vocabulary: some tokenizers have tokens more than the model, and no text gives them.
    if (largest := max(int(tokens.max()) for tokens in blocks)) >= model.n_vocabulary:
        raise BadInput(path, f"token {largest}", f"tokens below {model.n_vocabulary}, the model's vocabulary")
    longest = max(tokens.shape[1] for tokens in blocks)
    if model.n_context is not None and longest > model.n_context:
        wanted = f"at most {model.n_context} with {model.name}: a smaller dataset.context or dataset.fragment_tokens"
        raise BadInput(path, f"blocks of {longest} tokens", wanted)


def _splits(corpus: Tokens) -> dict[SplitName, Blocks]:
    documents = np.broadcast_to(corpus.fragments_document[:, None], corpus.fragments.shape)
    fragments = Blocks(corpus.fragments, documents)
    return {"train": corpus.train, "held_out": corpus.held_out, "fragments": fragments}


def _header(settings: ActivationsSlice, site: Site, corpus: Tokens, model: LanguageModel, d_act: int) -> Header:
    return Header(
        site=site.name,
        model=model.name,
        corpus=corpus.corpus,
        dtype=settings.activations.dtype,
        d_act=d_act,
        block_rows=settings.activations.block_rows,
        n_layers=model.n_layers,
    )


def _batches(blocks: Blocks, batch_tokens: int) -> Iterator[Blocks]:
    """Whole blocks of at most `batch_tokens` tokens together, at least one."""
    size = max(1, batch_tokens // blocks.tokens.shape[1])
    for start in range(0, len(blocks.tokens), size):
        yield Blocks(blocks.tokens[start : start + size], blocks.document[start : start + size])


def _harvest(
    wanted: list[Site], precision: Precision, masked: bool, model: LanguageModel, batch: Blocks
) -> tuple[Blocks, dict[str, Tensor]]:
    padding = torch.from_numpy(batch.document == PADDING) if masked else None
    return batch, model.harvest(torch.from_numpy(batch.tokens.astype(np.int64)), wanted, precision, padding)


def _append(
    split: SplitName,
    batch: Blocks,
    vectors: dict[str, Tensor],
    kept: NDArray[np.bool_],
    writers: dict[Site, ActivationsWriter],
) -> None:
    """Write the vectors of the tokens that are `kept`; a position counts from the first token of the block."""
    position = np.broadcast_to(np.arange(kept.shape[1]), kept.shape)[kept]
    for site, writer in writers.items():
        own = vectors[site.name][torch.from_numpy(kept)]
        writer.append(split, own, batch.tokens[kept], batch.document[kept], position)

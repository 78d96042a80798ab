"""Forward passes with reconstructions in the place of a model's activations at one site."""

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from sparse_coding.core.metrics.splice import (
    Clean,
    References,
    Replace,
    Spliced,
    is_special,
    mean_ablation,
    on_text,
    zero_ablation,
)
from sparse_coding.lm.model import LanguageModel
from sparse_coding.sites import Site


def splice(
    model: LanguageModel,
    site: Site,
    blocks: Int[Tensor, "block token"],
    special: Sequence[int],
    mean: Float[Tensor, " d_act"],
    replacements: Sequence[Replace],
    *,
    batch_blocks: int,
    threads: int,
) -> list[Spliced]:
    """What the model loses on `blocks` with each of `replacements`; tokens in `special` keep their vectors.

    `mean` is the mean of the training vectors, for mean ablation. The clean pass and the two ablated ones are made
    once. A batch of blocks a thread, each with a copy of the model, because hooks belong to a model; every pass
    itself is meant for one torch thread, so that results do not depend on `threads`.
    """
    conditions = [mean_ablation(mean), zero_ablation, *replacements]
    batches = blocks.split(batch_blocks)
    models: SimpleQueue[LanguageModel] = SimpleQueue()
    for index in range(min(threads, len(batches))):
        models.put(copy.deepcopy(model) if index else model)
    label = f"evaluation {site.name}: splice"
    with (
        tqdm(total=len(batches) * (1 + len(conditions)), desc=label, unit="pass") as progress,
        ThreadPoolExecutor(threads) as pool,
    ):
        sums = list(pool.map(lambda tokens: _batch(models, site, tokens, special, conditions, progress), batches))
    n_tokens, clean, *losses = (torch.cat(parts, dim=-1).numpy() for parts in zip(*sums, strict=True))
    (mean_ablated, _), (zero_ablated, _), *others = losses
    references = References(n_tokens, clean, mean_ablated, zero_ablated)
    return [Spliced(references, cross_entropy, divergence) for cross_entropy, divergence in others]


def _batch(
    models: SimpleQueue[LanguageModel],
    site: Site,
    tokens: Int[Tensor, "block token"],
    special_ids: Sequence[int],
    conditions: list[Replace],
    progress: tqdm,
) -> list[Tensor]:
    """Counted tokens [block], clean cross-entropy [block], then for each condition both its sums [2, block]."""
    model = models.get()
    try:
        special = is_special(tokens, special_ids)
        clean = Clean(model.logits(tokens), tokens, special)
        sums = [clean.n_tokens, clean.cross_entropy]
        _tick(progress)
        for replace in conditions:
            logits = model.spliced_logits(tokens, site, on_text(replace, special))
            sums.append(torch.stack(clean.compare(logits)))
            _tick(progress)
        return sums
    finally:
        models.put(model)


def _tick(progress: tqdm) -> None:
    with progress.get_lock():
        progress.update()

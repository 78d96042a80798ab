"""Forward passes with reconstructions in the place of a model's activations at one site."""

from collections.abc import Sequence

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
from sparse_coding.lm.parallel import over_batches
from sparse_coding.lm.resuming import resuming
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
    once. A batch of blocks a thread; results do not depend on `threads`.
    """
    conditions = [mean_ablation(mean), zero_ablation, *replacements]
    batches = blocks.split(batch_blocks)
    label = f"evaluation {site.name}: splice"
    with tqdm(total=len(batches) * (1 + len(conditions)), desc=label, unit="pass") as progress:

        def of_batch(own: LanguageModel, tokens: Tensor) -> list[Tensor]:
            return _batch(own, site, tokens, special, conditions, progress)

        sums = list(over_batches(model, of_batch, batches, min(threads, len(batches))))
    n_tokens, clean, *losses = (torch.cat(parts, dim=-1).numpy() for parts in zip(*sums, strict=True))
    (mean_ablated, _), (zero_ablated, _), *others = losses
    references = References(n_tokens, clean, mean_ablated, zero_ablated)
    return [Spliced(references, cross_entropy, divergence) for cross_entropy, divergence in others]


def _batch(
    model: LanguageModel,
    site: Site,
    tokens: Int[Tensor, "block token"],
    special_ids: Sequence[int],
    conditions: list[Replace],
    progress: tqdm,
) -> list[Tensor]:
    """Counted tokens [block], clean cross-entropy [block], then for each condition both its sums [2, block]."""
    special = is_special(tokens, special_ids)
    with resuming(model, tokens, site) as undisturbed:
        clean = Clean(undisturbed, tokens, special)
        sums = [clean.n_tokens, clean.cross_entropy]
        _tick(progress)
        for replace in conditions:
            logits = model.spliced_logits(tokens, site, on_text(replace, special))
            sums.append(torch.stack(clean.compare(logits)))
            _tick(progress)
    return sums


def _tick(progress: tqdm) -> None:
    with progress.get_lock():
        progress.update()

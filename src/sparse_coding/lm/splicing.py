"""Forward passes with reconstructions in the place of a model's activations at one site."""

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from sparse_coding.core.metrics.final_states import CleanStates, FinalStates
from sparse_coding.core.metrics.held_out_text import HeldOutText
from sparse_coding.core.metrics.splice import Clean, References, Replace, Spliced, mean_ablation, on_text, zero_ablation
from sparse_coding.lm.model import LanguageModel
from sparse_coding.lm.parallel import over_batches
from sparse_coding.lm.resuming import resuming
from sparse_coding.settings.sites import Site


class Undisturbed(Protocol):
    """What an undisturbed pass gave, to compare others with."""

    n_tokens: Tensor

    def compare(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Two sums over the counted positions of each block, [block] each."""


def splice(
    model: LanguageModel,
    site: Site,
    text: HeldOutText,
    mean: Float[Tensor, " d_act"],
    replacements: Sequence[Replace],
    *,
    batch_blocks: int,
    threads: int,
) -> list[Spliced]:
    """What the model's predictions lose on `text` with each of `replacements`; special tokens keep their vectors.

    `mean` is the mean of the training vectors, for mean ablation. The clean pass and the two ablated ones are made
    once. A batch of blocks a thread; results do not depend on `threads`.
    """

    def undisturbed(logits: Tensor, batch: HeldOutText) -> tuple[Clean, Tensor]:
        clean = Clean(logits, batch.tokens, batch.special, batch.hidden)
        return clean, clean.cross_entropy

    conditions = [mean_ablation(mean), zero_ablation, *replacements]
    n_tokens, clean, (mean_ablated, zero_ablated, *others) = _sums(
        model, site, text, conditions, undisturbed, batch_blocks, threads
    )
    references = References(n_tokens, clean, mean_ablated[0], zero_ablated[0])
    return [Spliced(references, cross_entropy, divergence) for cross_entropy, divergence in others]


def splice_states(
    model: LanguageModel,
    site: Site,
    text: HeldOutText,
    mean: Float[Tensor, " d_act"],
    replacements: Sequence[Replace],
    *,
    batch_blocks: int,
    threads: int,
) -> list[FinalStates]:
    """What the final hidden states lose on `text` with each of `replacements`, else as `splice`.

    Their own mean takes a first pass over all of it.
    """
    centre = _mean_state(model, text, batch_blocks, threads)

    def undisturbed(states: Tensor, batch: HeldOutText) -> tuple[CleanStates, Tensor]:
        clean = CleanStates(states, ~batch.special, centre)
        return clean, clean.variance

    conditions = [mean_ablation(mean), *replacements]
    n_tokens, variance, ((ablated, _), *others) = _sums(
        model, site, text, conditions, undisturbed, batch_blocks, threads, states=True
    )
    return [FinalStates(n_tokens, variance, ablated, error, cosines) for error, cosines in others]


def _mean_state(model: LanguageModel, text: HeldOutText, batch_blocks: int, threads: int) -> Float[Tensor, " d"]:
    def of_batch(own: LanguageModel, batch: HeldOutText) -> Tensor:
        states = own.outputs(batch.read, padding=batch.padding, states=True)
        return torch.stack(
            [row[kept].sum(dim=0, dtype=torch.float64) for row, kept in zip(states, ~batch.special, strict=True)]
        )

    batches = list(text.batches(batch_blocks))
    by_block = torch.cat(list(over_batches(model, of_batch, batches, min(threads, len(batches)))))
    return by_block.sum(dim=0) / (~text.special).sum()


def _sums(
    model: LanguageModel,
    site: Site,
    text: HeldOutText,
    conditions: list[Replace],
    undisturbed: Callable[[Tensor, HeldOutText], tuple[Undisturbed, Tensor]],
    batch_blocks: int,
    threads: int,
    states: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[NDArray[np.float64]]]:
    """By block: counted positions, the sum of the undisturbed pass, and for each condition both its sums [2, block]."""
    batches = list(text.batches(batch_blocks))
    label = f"evaluation {site.name}: splice"
    with tqdm(total=len(batches) * (1 + len(conditions)), desc=label, unit="pass") as progress:

        def of_batch(own: LanguageModel, batch: HeldOutText) -> list[Tensor]:
            with resuming(own, batch.read, site, batch.padding, states) as outputs:
                clean, reference = undisturbed(outputs, batch)
                sums = [clean.n_tokens, reference]
                _tick(progress)
                for replace in conditions:
                    on_text_only = on_text(replace, batch.special)
                    spliced = own.spliced_outputs(batch.read, site, on_text_only, batch.padding, states)
                    sums.append(torch.stack(clean.compare(spliced)))
                    _tick(progress)
            return sums

        parts = list(over_batches(model, of_batch, batches, min(threads, len(batches))))
    n_tokens, reference, *others = (torch.cat(part, dim=-1).numpy() for part in zip(*parts, strict=True))
    return n_tokens, reference, others


def _tick(progress: tqdm) -> None:
    with progress.get_lock():
        progress.update()

"""What a language model's predictions lose when reconstructions take the place of its activations at one site.

At each position that counts a model predicts one token: the next one, or in an encoder the one that a mask hides
(core.metrics.held_out_text). Special tokens keep their true vectors in every condition, so a loss has one cause: the
vectors that dictionaries are made for. Sums are float64, by block.
"""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sparse_coding.core.metrics.ratios import Ratio, Sums

LARGEST_EXPONENT = math.log(sys.float_info.max)
Replace = Callable[[Tensor], Tensor]  # vectors at the site [..., d_act] -> what goes on in their place


def is_special(tokens: Int[Tensor, "block token"], special: Sequence[int]) -> Bool[Tensor, "block token"]:
    """Where `tokens` are one of the ids in `special`."""
    return torch.isin(tokens, torch.tensor(special, dtype=tokens.dtype))


def on_text(replace: Replace, special: Bool[Tensor, "block token"]) -> Replace:
    """`replace`, but a `special` token keeps its own vector."""
    return lambda x: torch.where(special.unsqueeze(-1), x, replace(x))


def mean_ablation(mean: Float[Tensor, " d_act"]) -> Replace:
    """Every vector becomes `mean`, the mean of the training vectors."""
    return mean.expand_as


def zero_ablation(x: Float[Tensor, "*batch d_act"]) -> Float[Tensor, "*batch d_act"]:
    """Every vector becomes 0."""
    return torch.zeros_like(x)


def perplexity(cross_entropy: float | None) -> float | None:
    """exp(cross_entropy), of nats per token; None where there is none, or where no number of 64 bits is as large."""
    return None if cross_entropy is None or cross_entropy > LARGEST_EXPONENT else math.exp(cross_entropy)


class Clean:
    """What the undisturbed model predicts in a batch of blocks, kept to compare spliced passes with.

    A position counts if the token after it is text, that is, none of `special`; the last one of a block predicts
    nothing. With `hidden`, as in an encoder, these positions count, and each predicts its own of `tokens`.

    n_tokens [block]: counted positions; cross_entropy [block]: sum over them of -log p(their token), nats.
    """

    def __init__(
        self,
        logits: Float[Tensor, "block token vocabulary"],
        tokens: Int[Tensor, "block token"],
        special: Bool[Tensor, "block token"],
        hidden: Bool[Tensor, "block token"] | None = None,
    ) -> None:
        targets, counted = (tokens[:, 1:], ~special[:, 1:]) if hidden is None else (tokens, hidden)
        self._counted = counted
        self._targets = [row[kept] for row, kept in zip(targets, counted, strict=True)]
        self._log_probs = [self._predicted(rows, block) for block, rows in enumerate(logits)]
        self._probs = [log_probs.exp() for log_probs in self._log_probs]
        self.n_tokens = counted.sum(dim=1).double()
        self.cross_entropy, _ = self.compare(logits)

    def compare(
        self, logits: Float[Tensor, "block token vocabulary"]
    ) -> tuple[Float[Tensor, " block"], Float[Tensor, " block"]]:
        """Of a spliced pass, sums over the counted positions of each block, in nats.

        The first is -log p(the token), the second KL(clean || spliced).
        """
        losses, divergences = [], []
        for block, rows in enumerate(logits):  # one block at a time stays in the processor's cache
            log_probs = self._predicted(rows, block)
            losses.append(-log_probs.gather(1, self._targets[block].unsqueeze(1)).sum(dtype=torch.float64))
            terms = (self._log_probs[block] - log_probs).mul_(self._probs[block])
            by_token = terms.sum(dim=1)
            if (
                not by_token.isfinite().all()
            ):  # a model may give logits of -inf to words that it never says: p log p = 0
                by_token = terms.masked_fill_(self._probs[block] == 0, 0).sum(dim=1)
            divergences.append(by_token.sum(dtype=torch.float64))
        return torch.stack(losses), torch.stack(divergences)

    def _predicted(self, logits: Float[Tensor, "token vocabulary"], block: int) -> Float[Tensor, "counted vocabulary"]:
        return logits[: self._counted.shape[1]][self._counted[block]].log_softmax(dim=-1)


@dataclass(frozen=True, eq=False)
class References:
    """What one dictionary is compared with: cross-entropies by block, [block], and how many tokens each has."""

    n_tokens: Sums
    clean: Sums
    mean_ablated: Sums
    zero_ablated: Sums

    def ce(self, sums: Sums) -> Ratio:
        """Cross-entropy of the predicted tokens: sum -log p / counted positions, nats per token."""
        return Ratio(sums, self.n_tokens)


@dataclass(frozen=True, eq=False)
class Spliced:
    """Cross-entropies and divergences of one dictionary, by block, beside those it is compared with."""

    references: References
    cross_entropy: Sums
    divergence: Sums

    @property
    def ce(self) -> Ratio:
        """Cross-entropy of the predicted tokens with the reconstruction spliced in, nats per token."""
        return self.references.ce(self.cross_entropy)

    @property
    def perplexity(self) -> float | None:
        """exp(ce); None above 1.8e308, the largest number of 64 bits."""
        return perplexity(self.ce.value)

    @property
    def kl(self) -> Ratio:
        """Sum KL(clean || spliced) / counted positions, nats per token."""
        return Ratio(self.divergence, self.references.n_tokens)

    @property
    def loss_recovered(self) -> Ratio:
        """(CE_mean_ablated - CE) / (CE_mean_ablated - CE_clean).

        1: the model does not notice; 0: no better than the training mean everywhere; it can be negative. It has
        no value where mean ablation costs nothing.
        """
        return self._recovered(self.references.mean_ablated)

    @property
    def loss_recovered_zero(self) -> Ratio:
        """The same against zero ablation, which takes the mean away too and so flatters every dictionary."""
        return self._recovered(self.references.zero_ablated)

    def _recovered(self, ablated: Sums) -> Ratio:
        with np.errstate(invalid="ignore"):  # of infinite losses
            return Ratio(ablated - self.cross_entropy, ablated - self.references.clean)

"""Held-out blocks as a model reads them when its predictions or its states are measured.

A causal model reads them as they are. An encoder reads them with MASKED_SHARE of the text tokens of each block, at
least one, hidden behind the mask token, and predicts these. (Devlin et al. 2019 leave a tenth of them as they are, and
put another word for a tenth. That is for training; here each prediction is one of a hidden word.)
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

MASKED_SHARE = 0.15
MASK_SEED = 0  # one choice of masks for all dictionaries and conditions


@dataclass(frozen=True, eq=False)
class HeldOutText:
    """Blocks, [block, token] each.

    read: ids that go in; tokens: ids that stand there; special: where these are no text; hidden: where the mask token
    is read in their place, None where it is nowhere; padding: what nothing attends to, None where no mask is needed.
    """

    read: Int[Tensor, "block token"]
    tokens: Int[Tensor, "block token"]
    special: Bool[Tensor, "block token"]
    hidden: Bool[Tensor, "block token"] | None
    padding: Bool[Tensor, "block token"] | None

    def batches(self, size: int) -> Iterator["HeldOutText"]:
        """`size` blocks at a time."""
        parts = (self.read, self.tokens, self.special, self.hidden, self.padding)
        for first in range(0, len(self.read), size):
            yield HeldOutText(*(None if part is None else part[first : first + size] for part in parts))  # type: ignore[arg-type]


def plain(
    tokens: Int[Tensor, "block token"],
    special: Bool[Tensor, "block token"],
    padding: Bool[Tensor, "block token"] | None = None,
) -> HeldOutText:
    """Blocks as they are. A causal model needs no `padding`: it stands behind the text, where nothing sees it."""
    return HeldOutText(tokens, tokens, special, None, padding)


def masked(
    tokens: Int[Tensor, "block token"],
    special: Bool[Tensor, "block token"],
    padding: Bool[Tensor, "block token"],
    mask_id: int,
) -> HeldOutText:
    """Blocks with hidden tokens: the same ones of a block whatever stands after it."""
    hidden = _chosen(special)
    return HeldOutText(tokens.masked_fill(hidden, mask_id), tokens, special, hidden, padding)


def _chosen(special: Bool[Tensor, "block token"]) -> Bool[Tensor, "block token"]:
    """MASKED_SHARE of the text of each block: those whose random numbers are lowest."""
    draws = torch.rand(special.shape, generator=torch.Generator().manual_seed(MASK_SEED), dtype=torch.float64)
    rank = draws.masked_fill(special, torch.inf).argsort(dim=1).argsort(dim=1)
    wanted = (MASKED_SHARE * (~special).sum(dim=1, keepdim=True)).round().clamp(min=1)
    return (rank < wanted) & ~special

"""Which positions of held-out blocks a splice is measured at, and what the model is to say there.

Three kinds. `next_token`: a position counts if the token after it is text, that is, not a special token (BOS,
separators); the last position of a block predicts nothing. `masked`: of the text tokens of each block, MASKED_SHARE,
at least one, are hidden behind the mask token, all of them, and predicted (Devlin et al. 2019 leave a tenth of them
as they are, and put another word for a tenth: here nothing is trained, so each prediction is one of a hidden word).
`none`: a model without predictions; every text token counts, and nothing is predicted.
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
    """Blocks as the model reads them, [block, token] each.

    read: ids that go in; targets: ids that are to be predicted where `counted`; special: tokens that keep their
    vectors; padding: tokens that nothing attends to, None where no mask is needed.
    """

    read: Int[Tensor, "block token"]
    targets: Int[Tensor, "block token"]
    counted: Bool[Tensor, "block token"]
    special: Bool[Tensor, "block token"]
    padding: Bool[Tensor, "block token"] | None

    def batches(self, size: int) -> Iterator["HeldOutText"]:
        """`size` blocks at a time."""
        for first in range(0, len(self.read), size):
            some = slice(first, first + size)
            padding = None if self.padding is None else self.padding[some]
            yield HeldOutText(self.read[some], self.targets[some], self.counted[some], self.special[some], padding)


def next_token(tokens: Int[Tensor, "block token"], special: Bool[Tensor, "block token"]) -> HeldOutText:
    """What a causal model reads and predicts. Padding stands behind the text, where nothing sees it."""
    counted = torch.zeros_like(special)
    counted[:, :-1] = ~special[:, 1:]
    return HeldOutText(tokens, tokens.roll(-1, dims=1), counted, special, None)


def masked(
    tokens: Int[Tensor, "block token"],
    special: Bool[Tensor, "block token"],
    padding: Bool[Tensor, "block token"],
    mask_id: int,
) -> HeldOutText:
    """What an encoder reads and predicts: the same tokens of a block are hidden whatever stands in other blocks."""
    hidden = _chosen(special)
    return HeldOutText(tokens.masked_fill(hidden, mask_id), tokens, hidden, special, padding)


def unpredicted(
    tokens: Int[Tensor, "block token"],
    special: Bool[Tensor, "block token"],
    padding: Bool[Tensor, "block token"] | None,
) -> HeldOutText:
    """What a model without predictions reads: its states at all text tokens count."""
    return HeldOutText(tokens, tokens, ~special, special, padding)


def _chosen(special: Bool[Tensor, "block token"]) -> Bool[Tensor, "block token"]:
    """MASKED_SHARE of the text of each block: those whose random numbers are lowest."""
    draws = torch.rand(special.shape, generator=torch.Generator().manual_seed(MASK_SEED), dtype=torch.float64)
    rank = draws.masked_fill(special, torch.inf).argsort(dim=1).argsort(dim=1)
    wanted = (MASKED_SHARE * (~special).sum(dim=1, keepdim=True)).round().clamp(min=1)
    return (rank < wanted) & ~special

"""The larger half of all codes, by one threshold, and then their gains refitted.

An L1 keeps small codes that a vector hardly needs, and pulls the large ones down. Of a dictionary whose penalty is
weaker, the small ones are left out by a threshold t, and least squares pulls up what stays:

    c'_i = g_i * c_i where c_i > t, else 0        t: the median of all codes above 0, over training vectors
    g: core.metrics.gain_refit, of what is above t

What remains is half as sparse as the dictionary was trained for, on training vectors; a JumpReLU (Rajamanoharan et al.
2024) whose thresholds were not trained. docs/decisions.md: why half.
"""

from collections.abc import Iterable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics.gain_refit import ROWS, gain_refit
from sparse_coding.core.variants.contract import Fitted, Read, Recoding

KEPT = 0.5  # share of the codes above 0


class ThresholdRefit(Recoding):
    """`threshold` [1], in the units of codes, and `gain` [n_feat]."""

    def fit(self, dictionary: Dictionary, read: Read) -> Fitted:
        """In two passes: what is above the threshold must be known to fit its gains."""
        threshold = largest_share(dictionary, read(), KEPT)
        return {"threshold": threshold, "gain": gain_refit(dictionary.cut(float(threshold)), read())}

    def dictionary(self, plain: Dictionary, fitted: Fitted) -> Dictionary:
        """With a threshold, and its gains."""
        return plain.cut(float(fitted["threshold"])).with_gain(fitted["gain"])

    def codes(
        self, plain: Dictionary, fitted: Fitted, x: Float[Tensor, "row d_act"], found: Float[Tensor, "row n_feat"]
    ) -> Float[Tensor, "row n_feat"]:
        """What is above the threshold, times the gains."""
        return found * (found > fitted["threshold"]) * fitted["gain"]


def largest_share(
    dictionary: Dictionary, batches: Iterable[Float[Tensor, "_ d_act"]], share: float
) -> Float[Tensor, " 1"]:
    """The threshold above which is a `share`, at least 0 and below 1, of all codes above 0 of the vectors of `batches`.

    Of equal codes at the threshold none is kept; 0 where there is no code.
    """
    found = [_positive(dictionary, part) for batch in batches for part in batch.split(ROWS)]
    codes = torch.cat(found).numpy() if found else np.zeros(0, np.float32)
    below = len(codes) - int(share * len(codes))
    threshold = np.partition(codes, below - 1)[below - 1] if below else 0.0
    return torch.tensor([threshold], dtype=dictionary.gain.dtype)


def _positive(dictionary: Dictionary, x: Float[Tensor, "row d_act"]) -> Float[Tensor, " _"]:
    codes = dictionary.encode(x)
    return codes[codes > 0]


def build() -> Recoding:
    """It has no settings."""
    return ThresholdRefit()

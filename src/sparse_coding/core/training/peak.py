"""The peak of the learning rate: a dictionary that is told how many codes a vector has bears a higher one with more.

In sweeps on both sites of the default the best rate goes up with k, about as its root, until features die of it
(docs/decisions.md: learning rates).
"""

import math

from sparse_coding.core.architectures.contract import Settings

CODES = 8  # a vector, at which the rate is the one that settings have


def of(settings: Settings, codes: float | int | None) -> float:
    """`lr`; with `lr_grows_to`, of what is told its codes, lr * sqrt(codes / 8), of so many codes at most."""
    lr, most = float(settings["lr"]), settings.get("lr_grows_to")
    return lr if codes is None or most is None else lr * math.sqrt(min(codes, most) / CODES)

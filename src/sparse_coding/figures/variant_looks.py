"""How figures draw and name the variants of a dictionary, a row each."""

from dataclasses import dataclass
from typing import Any

from sparse_coding import methods, variants


@dataclass(frozen=True)
class VariantLook:
    """label, said: in the legend and in the caption. dashes: of its lines."""

    label: str
    said: str
    dashes: Any


LOOKS = {
    "gain_refit": VariantLook(
        "gain refit",
        "Gain refit: one least-squares factor per feature, which undoes the shrinkage by L1.",
        (0, (1, 1.2)),
    ),
    "threshold_refit": VariantLook(
        "threshold refit",
        "Threshold refit: the larger half of all codes, above one threshold, and then a gain refit of these.",
        (0, (3, 1.2, 1, 1.2)),
    ),
    "matching_pursuit": VariantLook(
        "matching pursuit",
        "Matching pursuit: codes are found atom by atom in the decoder, for each vector as many as the encoder finds.",
        (0, (5, 1.5)),
    ),
}


def is_drawn(variant: str, kind: str) -> bool:
    """Whether there is a line of a variant: of trained kinds, and of a gain where there is shrinkage to undo by it.

    Of what was trained elsewhere it is not known whether there is.
    """
    about = methods.of(kind)
    if methods.is_published(kind):
        return True
    return about.is_learned and (about.strength == "l1" or not variants.of(variant).is_fitted)

"""One feature and the fragments that its explanation is made from and tested on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sparse_coding.interp import fragments
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.scores import FeatureScore

Near = Bool[np.ndarray, "feature fragment"]


@dataclass(frozen=True)
class Fragments:
    """The text on which features are interpreted, and the seed of all that is drawn from it.

    tokens: numbers in the vocabulary.
    """

    tokens: Int[np.ndarray, "fragment token"]
    vocabulary: Sequence[str]
    seed: int


@dataclass(frozen=True)
class Feature:
    """A feature, by its number, and its activations on all fragments.

    shuffled: the null: positions are permuted inside each fragment before anything else is done. near: where its
    nearest features fire, the nearest first, for judges that take negatives from there.
    """

    number: int
    activations: Float[np.ndarray, "fragment token"]
    shuffled: bool = False
    near: Near | None = None

    @property
    def maxima(self) -> Float[np.ndarray, " fragment"]:
        """The highest activation on each fragment; that of the null is the same."""
        return self.activations.max(axis=1)

    def on(self, used: Int[np.ndarray, " used"] | slice, seed: int) -> Float[np.ndarray, "used token"]:
        """The activations on some fragments, for the null on other tokens of them."""
        truth = self.activations[used]
        return fragments.shuffle_positions(truth, self.number, seed) if self.shuffled else truth

    def unscored(self, reason: str | None = None) -> FeatureScore:
        """Its row where it does not fire on enough fragments."""
        fires = firing(self.maxima)
        return FeatureScore(self.number, "too_few" if fires else "dead", fires, reason=reason if fires else None)


@dataclass(frozen=True)
class Case:
    """A feature that can be scored. train: what is shown to the explainer."""

    feature: int
    n_firing_fragments: int
    train: Records


def firing(maxima: Float[np.ndarray, " fragment"]) -> int:
    """On how many fragments a feature fires."""
    return int(np.count_nonzero(maxima > 0))

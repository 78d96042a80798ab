"""One feature and the fragments that its explanation is made from and tested on."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp import fragments
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.fragments import Mode
from sparse_coding.interp.scores import FeatureScore


@dataclass(frozen=True)
class Case:
    """A feature that can be scored.

    train: shown to the explainer. tested: 10 other fragments, the first `n_top` of them of the top 20.
    """

    feature: int
    n_firing_fragments: int
    train: Records
    tested: Records
    n_top: int


def simulation_case(
    tokens: Int[np.ndarray, "fragment token"],
    activations: Float[np.ndarray, "fragment token"],
    feature: int,
    seed: int,
    mode: Mode = "nonzero",
    shuffled: bool = False,
) -> Case | FeatureScore:
    """The fragments of a feature, or its row where it fires on too few.

    `shuffled` is the null: positions are permuted inside each fragment before anything else is done. The result
    depends on the arguments alone, not on the features before.
    """
    maxima = activations.max(axis=1)
    chosen = fragments.select(maxima, feature, seed, mode)
    if chosen is None:
        return unscored(feature, maxima)
    used = np.concatenate([chosen.train, chosen.top, chosen.random])
    truth = activations[used]
    if shuffled:
        truth = fragments.shuffle_positions(truth, feature, seed)
    n_train = len(chosen.train)
    return Case(
        feature=feature,
        n_firing_fragments=firing(maxima),
        train=Records(tokens[used[:n_train]], truth[:n_train]),
        tested=Records(tokens[used[n_train:]], truth[n_train:]),
        n_top=len(chosen.top),
    )


def firing(maxima: Float[np.ndarray, " fragment"]) -> int:
    """On how many fragments the feature fires."""
    return int(np.count_nonzero(maxima > 0))


def unscored(feature: int, maxima: Float[np.ndarray, " fragment"], reason: str | None = None) -> FeatureScore:
    """The row of a feature without enough fragments."""
    fires = firing(maxima)
    return FeatureScore(feature, "too_few" if fires else "dead", fires, reason=reason if fires else None)

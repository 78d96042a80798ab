"""Which features are scored, and on which fragments of text.

The protocol is that of Bills et al. 2023 as Cunningham et al. 2023 used it, with their gaps closed: features are a
seeded sample of all features, draws are seeded, and no fragment of the top 20 comes back as a random one.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

N_TOP = 20  # fragments of highest maximum; every fourth is used, from a different start for each purpose
STRIDE = 4
TRAIN_START, SCORED_START = 0, 2
N_RANDOM = 5

# `nonzero`: where the feature fires, outside the top 20. `original`: where it fires, as Cunningham et al. 2023, so a
# fragment that the explainer saw may come back. `unbiased`: anywhere outside the top 20, as Bills et al. 2023.
Mode = Literal["nonzero", "original", "unbiased"]
Choice = Literal["sample", "first"]

# One stream of random numbers a purpose, so that none of the draws depends on another.
_FEATURES, _RANDOM_FRAGMENTS, _POSITIONS = range(3)


@dataclass(frozen=True)
class Selection:
    """Indices of fragments: `train` is shown to the explainer, `top` and `random` are scored."""

    train: Int[np.ndarray, " 5"]
    top: Int[np.ndarray, " 5"]
    random: Int[np.ndarray, " 5"]


def choose_features(n_feat: int, wanted: int, seed: int, choice: Choice = "sample") -> Int[np.ndarray, " chosen"]:
    """A uniform sample of features, without repeats; asking for more leaves the first ones as they are."""
    if choice == "first":
        return np.arange(min(wanted, n_feat))
    return np.random.default_rng((seed, _FEATURES)).permutation(n_feat)[:wanted]


def select(maxima: Float[np.ndarray, " fragment"], feature: int, seed: int, mode: Mode = "nonzero") -> Selection | None:
    """The fragments for one feature, from its highest activation on each; None where there are too few.

    train: ranks 0, 4, 8, 12, 16 by maximum; top: ranks 2, 6, 10, 14, 18; random: 5 drawn by `mode`. The feature has
    to fire on 20 fragments, and there have to be 5 to draw from. Equal maxima are ranked by the number of the fragment.
    """
    ranks, firing = ranked(maxima)
    pool = {"nonzero": ranks[N_TOP:firing], "original": ranks[:firing], "unbiased": ranks[N_TOP:]}[mode]
    if firing < N_TOP or len(pool) < N_RANDOM:
        return None
    draws = np.random.default_rng((seed, _RANDOM_FRAGMENTS, feature))
    top = ranks[:N_TOP]
    return Selection(
        train=top[TRAIN_START::STRIDE],
        top=top[SCORED_START::STRIDE],
        # Sorted, so that the draw does not hang on the order of maxima.
        random=draws.choice(np.sort(pool), N_RANDOM, replace=False),
    )


def ranked(maxima: Float[np.ndarray, " fragment"]) -> tuple[Int[np.ndarray, " fragment"], int]:
    """Fragments by falling maximum, equal ones by number; and on how many the feature fires."""
    return np.argsort(-maxima, kind="stable"), int(np.count_nonzero(maxima > 0))


def shuffle_positions(
    activations: Float[np.ndarray, "fragment token"], feature: int, seed: int
) -> Float[np.ndarray, "fragment token"]:
    """The shuffled null: the same activations in each fragment, on other tokens of it."""
    return np.random.default_rng((seed, _POSITIONS, feature)).permuted(activations, axis=1)

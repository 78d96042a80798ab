"""Which features are scored, and on which fragments of text.

The protocol is that of Bills et al. 2023 as Cunningham et al. 2023 used it, with their gaps closed: features are a
seeded sample of all features, draws are seeded, and no fragment of the top 20 comes back as a random one.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

N_TOP = 20  # fragments of highest maximum; every fourth is used, from a different start for each purpose
STRIDE = 4
TRAIN_START, SCORED_START = 0, 2
N_RANDOM = 5
ENOUGH = N_TOP + N_RANDOM  # a feature that fires on fewer fragments cannot be scored

# One stream of random numbers a purpose, so that none of the draws depends on another.
_FEATURES, _RANDOM_FRAGMENTS, _POSITIONS = range(3)


@dataclass(frozen=True)
class Selection:
    """Indices of fragments: `train` is shown to the explainer, `top` and `random` are scored."""

    train: Int[np.ndarray, " 5"]
    top: Int[np.ndarray, " 5"]
    random: Int[np.ndarray, " 5"]


def sample_features(n_feat: int, wanted: int, seed: int) -> Int[np.ndarray, " sampled"]:
    """A uniform sample of features, without repeats; asking for more leaves the first ones as they are."""
    return np.random.default_rng((seed, _FEATURES)).permutation(n_feat)[:wanted]


def select(maxima: Float[np.ndarray, " fragment"], feature: int, seed: int) -> Selection | None:
    """The fragments for one feature, from its highest activation on each; None where it fires on fewer than 25.

    train: ranks 0, 4, 8, 12, 16 by maximum; top: ranks 2, 6, 10, 14, 18; random: 5 of the fragments on which the
    feature fires, drawn outside the top 20. Equal maxima are ranked by the number of the fragment.
    """
    firing = int(np.count_nonzero(maxima > 0))
    if firing < ENOUGH:
        return None
    ranks = np.argsort(-maxima, kind="stable")
    draws = np.random.default_rng((seed, _RANDOM_FRAGMENTS, feature))
    top = ranks[:N_TOP]
    # Sorted, so that the draw does not hang on the order of maxima outside the top.
    others = np.sort(ranks[N_TOP:firing])
    return Selection(
        train=top[TRAIN_START::STRIDE],
        top=top[SCORED_START::STRIDE],
        random=draws.choice(others, N_RANDOM, replace=False),
    )


def shuffle_positions(
    activations: Float[np.ndarray, "fragment token"], feature: int, seed: int
) -> Float[np.ndarray, "fragment token"]:
    """The shuffled null: the same activations in each fragment, on other tokens of it."""
    return np.random.default_rng((seed, _POSITIONS, feature)).permuted(activations, axis=1)

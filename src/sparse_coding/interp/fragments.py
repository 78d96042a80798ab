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
_FEATURES, _RANDOM_FRAGMENTS, _POSITIONS, _EXAMPLES, _MARKS = range(5)


@dataclass(frozen=True)
class Selection:
    """Indices of fragments: `train` is shown to the explainer, `top` and `random` are scored."""

    train: Int[np.ndarray, " 5"]
    top: Int[np.ndarray, " 5"]
    random: Int[np.ndarray, " 5"]


@dataclass(frozen=True)
class Examples:
    """Indices of fragments: `train` is shown to the explainer; `positive` and `negative` are to be told apart."""

    train: Int[np.ndarray, " 5"]
    positive: Int[np.ndarray, " examples"]
    negative: Int[np.ndarray, " examples"]


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
    ranks, firing = _ranked(maxima)
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


def select_silent(maxima: Float[np.ndarray, " fragment"], feature: int, seed: int, n: int) -> Examples | None:
    """Detection: `n` fragments on which the feature fires, and `n` on which it does not; None: too few of a kind.

    train as in `select`. The firing ones are evenly spaced over the ranks of all others on which it fires, so strong
    and weak ones alike; the silent ones are drawn uniformly.
    """
    ranks, firing = _ranked(maxima)
    others, silent = _without_train(ranks, firing), np.sort(ranks[firing:])
    if firing < N_TOP or len(others) < n or len(silent) < n:
        return None
    draws = np.random.default_rng((seed, _EXAMPLES, feature))
    return Examples(_train(ranks), _evenly(others, n), draws.choice(silent, n, replace=False))


def select_firing(
    maxima: Float[np.ndarray, " fragment"], minima: Float[np.ndarray, " fragment"], feature: int, seed: int, n: int
) -> Examples | None:
    """Fuzzing: 2 `n` fragments on which the feature fires, and not on all tokens; None where there are too few.

    Evenly spaced over the ranks, and dealt at random to `positive` and `negative`, which differ in their marks only.
    """
    ranks, firing = _ranked(maxima)
    others = _without_train(ranks, firing)
    others = others[minima[others] <= 0]
    if firing < N_TOP or len(others) < 2 * n:
        return None
    dealt = np.random.default_rng((seed, _EXAMPLES, feature)).permutation(_evenly(others, 2 * n))
    return Examples(_train(ranks), dealt[:n], dealt[n:])


def wrong_marks(
    activations: Float[np.ndarray, " token"], n: int, feature: int, fragment: int, seed: int
) -> Int[np.ndarray, " marks"]:
    """At most `n` tokens on which the feature is silent, drawn at random and sorted."""
    silent = np.flatnonzero(activations <= 0)
    draws = np.random.default_rng((seed, _MARKS, feature, fragment))
    return np.sort(draws.choice(silent, min(n, len(silent)), replace=False))


def in_random_order(n: int, feature: int, seed: int) -> Int[np.ndarray, " n"]:
    """The order in which examples are asked about."""
    return np.random.default_rng((seed, _EXAMPLES, feature, 1)).permutation(n)


def _ranked(maxima: Float[np.ndarray, " fragment"]) -> tuple[Int[np.ndarray, " fragment"], int]:
    return np.argsort(-maxima, kind="stable"), int(np.count_nonzero(maxima > 0))


def _train(ranks: Int[np.ndarray, " fragment"]) -> Int[np.ndarray, " 5"]:
    return ranks[:N_TOP][TRAIN_START::STRIDE]


def _without_train(ranks: Int[np.ndarray, " fragment"], firing: int) -> Int[np.ndarray, " others"]:
    return ranks[:firing][~np.isin(ranks[:firing], _train(ranks))]


def _evenly(values: Int[np.ndarray, " values"], n: int) -> Int[np.ndarray, " n"]:
    return values[np.linspace(0, len(values) - 1, n).round().astype(int)]


def shuffle_positions(
    activations: Float[np.ndarray, "fragment token"], feature: int, seed: int
) -> Float[np.ndarray, "fragment token"]:
    """The shuffled null: the same activations in each fragment, on other tokens of it."""
    return np.random.default_rng((seed, _POSITIONS, feature)).permuted(activations, axis=1)

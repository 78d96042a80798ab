"""Which fragments language models are shown, and which they are tested on.

What is tested does not hang on what is shown: it is chosen first, and the explainer sees fragments of the rest alone.
"""

from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp.cases import Near
from sparse_coding.interp.fragments import N_TOP, STRIDE, TRAIN_START, ranked

N_TRAIN = N_TOP // STRIDE  # fragments that are always left to the explainer
QUARTER = 4  # of a dense feature the strongest and the weakest so-manieth part are told apart
EIGHTH = 8  # and of its tokens, when they are marked
BESIDE = 4  # firing fragments beside an intruder
GROUPS = 5  # quantiles that the four come from in turn, as in delphi

# `silent`: the feature does not fire on them. `nearest`: nor does it, but the features nearest to it do. `weakest`: it
# fires almost everywhere, and they are those on which it is weakest, held against those on which it is strongest.
Negatives = Literal["silent", "nearest", "weakest"]
Maxima = Float[np.ndarray, " fragment"]

# Streams of random numbers, on from those of interp.fragments.
_EXAMPLES, _MARKS, _SHOWN, _WEAKEST, _NEAREST, _INTRUDERS, _WEAK_MARKS = range(3, 10)


@dataclass(frozen=True)
class Shown:
    """What the explainer sees: at most `n` fragments on which the feature fires, from so many quantiles of them.

    quantiles None: the top alone, every fourth by rank (5 of the top 20 are Bills et al. 2023).
    """

    n: int = N_TRAIN
    quantiles: int | None = None

    def __str__(self) -> str:
        if self.quantiles is None:
            return f"{self.n} of the top {self.n * STRIDE}"
        return f"{self.n} in {self.quantiles} quantiles"

    def choose(
        self, maxima: Maxima, tested: Int[np.ndarray, " tested"], feature: int, seed: int
    ) -> Int[np.ndarray, " shown"]:
        """Fragments that are not among `tested`, the strongest first.

        Quantiles are of equal counts of the fragments that are left, by rank of their maxima; draws inside are seeded.
        """
        ranks, firing = ranked(maxima)
        if self.quantiles is None:
            return _without(ranks[TRAIN_START:firing:STRIDE][: self.n], tested)
        parts = np.array_split(_without(ranks[:firing], tested), self.quantiles)
        draws = np.random.default_rng((seed, _SHOWN, feature))
        each, more = divmod(self.n, self.quantiles)
        wanted = [each + (number < more) for number in range(self.quantiles)]
        places = [np.sort(draws.permutation(len(part))[:n]) for part, n in zip(parts, wanted, strict=True)]
        return np.concatenate([part[place] for part, place in zip(parts, places, strict=True)])


ORIGINAL = Shown()


@dataclass(frozen=True)
class Examples:
    """Indices of fragments: `train` is shown; `positive` and `negative` are to be told apart."""

    train: Int[np.ndarray, " shown"]
    positive: Int[np.ndarray, " examples"]
    negative: Int[np.ndarray, " examples"]
    negatives: Negatives


@dataclass(frozen=True)
class Intruded:
    """Questions, a row each: four fragments on which the feature fires, an intruder, and its place, 0 to 4."""

    firing: Int[np.ndarray, "question 4"]
    intruder: Int[np.ndarray, " question"]
    place: Int[np.ndarray, " question"]
    negatives: Negatives


def whole_texts(
    maxima: Maxima, feature: int, seed: int, n: int, shown: Shown, near: Near | None = None
) -> Examples | None:
    """Detection: `n` fragments of each kind; None where there are too few, or no two kinds.

    Firing ones are evenly spaced over the ranks of their maxima. Where the feature is silent in fewer than `n`, `n` of
    the strongest quarter of all fragments are held against `n` of the weakest. near: where its nearest features fire,
    the nearest first; None: silent fragments are drawn uniformly.
    """
    ranks, firing = ranked(maxima)
    others, silent = _beside_top(ranks[:firing]), ranks[firing:]
    negatives: Negatives = "silent"
    if firing >= N_TOP and len(others) >= n and len(silent) >= n:
        draws = np.random.default_rng((seed, _EXAMPLES, feature))
        positive, negative = _evenly(others, n), draws.choice(np.sort(silent), n, replace=False)
        hard = None if near is None else _nearest(maxima, near, feature, seed, n)
        if hard is not None:
            negative, negatives = hard, "nearest"
    else:
        quarters = _quarters(maxima, n)
        if quarters is None or len(silent) >= n:
            return None
        strong, weak = quarters
        draws = np.random.default_rng((seed, _WEAKEST, feature))
        positive, negative = _evenly(_beside_top(strong), n), draws.choice(np.sort(weak), n, replace=False)
        negatives = "weakest"
    train = shown.choose(maxima, np.concatenate([positive, negative]), feature, seed)
    return Examples(train, positive, negative, negatives)


def marked_texts(
    activations: Float[np.ndarray, "fragment token"], feature: int, seed: int, n: int, shown: Shown
) -> Examples | None:
    """Fuzzing: `n` fragments to be marked rightly and `n` wrongly, all firing; None where there are too few.

    `silent`: they have tokens on which the feature is silent, for the wrong marks. `weakest`: fewer than 2 `n` have,
    though it fires on enough; then its activation varies on them.
    """
    maxima = activations.max(axis=1)
    ranks, firing = ranked(maxima)
    if firing < N_TOP:
        return None
    others, negatives, stream = _beside_top(ranks[:firing]), cast(Negatives, "silent"), _EXAMPLES
    pool = others[activations[others].min(axis=1) <= 0]
    if len(pool) < 2 * n:
        pool, negatives, stream = others[np.median(activations[others], axis=1) < maxima[others]], "weakest", _WEAKEST
    if len(pool) < 2 * n:
        return None
    dealt = np.random.default_rng((seed, stream, feature)).permutation(_evenly(pool, 2 * n))
    return Examples(shown.choose(maxima, dealt, feature, seed), dealt[:n], dealt[n:], negatives)


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


def strongest_tokens(activations: Float[np.ndarray, " token"]) -> Int[np.ndarray, " marks"]:
    """The right marks where the feature fires on nearly all tokens: its strongest eighth of them."""
    return np.sort(np.argsort(-activations, kind="stable")[: max(1, len(activations) // EIGHTH)])


def weak_tokens(
    activations: Float[np.ndarray, " token"], n: int, feature: int, fragment: int, seed: int
) -> Int[np.ndarray, " marks"]:
    """The wrong marks there: `n` drawn from the weaker half of its tokens."""
    weaker = np.argsort(activations, kind="stable")[: len(activations) // 2]
    draws = np.random.default_rng((seed, _WEAK_MARKS, feature, fragment))
    return np.sort(draws.choice(np.sort(weaker), min(n, len(weaker)), replace=False))


def intruded(maxima: Maxima, feature: int, seed: int, n: int, near: Near | None = None) -> Intruded | None:
    """`n` questions with an intruder each; None where the feature fires on fewer than 20 fragments, or no two kinds.

    The four are of one of five quantiles, in turn, as in delphi; a fragment may come in several questions. Each place
    holds the intruder equally often, so that whoever always says the same is at chance. Dense features as in
    `whole_texts`.
    """
    ranks, firing = ranked(maxima)
    draws = np.random.default_rng((seed, _INTRUDERS, feature))
    silent = np.sort(ranks[firing:])
    negatives: Negatives = "silent"
    quarters = _quarters(maxima, n)
    if firing < N_TOP or (len(silent) < n and quarters is None):
        return None
    if len(silent) < n and quarters is not None:
        pool, silent, negatives = quarters[0], np.sort(quarters[1]), "weakest"
    else:
        pool = ranks[:firing]
    outsiders = draws.choice(silent, n, replace=False)
    hard = None if near is None or negatives == "weakest" else _nearest(maxima, near, feature, seed, n)
    if hard is not None:
        outsiders, negatives = hard, "nearest"
    parts = np.array_split(pool, GROUPS)
    return Intruded(
        firing=np.stack([draws.choice(parts[number % GROUPS], BESIDE, replace=False) for number in range(n)]),
        intruder=outsiders,
        place=draws.permutation(np.arange(n) % (BESIDE + 1)),
        negatives=negatives,
    )


def _nearest(maxima: Maxima, near: Near, feature: int, seed: int, n: int) -> Int[np.ndarray, " examples"] | None:
    """`n` fragments in which the feature is silent and its nearest fire, of each of them in turn; None: too few."""
    draws = np.random.default_rng((seed, _NEAREST, feature))
    dealt = [draws.permutation(np.flatnonzero(fires & (maxima <= 0))) for fires in near]
    found: dict[int, None] = {}
    for place in range(max(map(len, dealt), default=0)):
        found |= {int(fragments[place]): None for fragments in dealt if place < len(fragments)}
        if len(found) >= n:
            return np.array(list(found)[:n], np.int64)
    return None


def _quarters(maxima: Maxima, n: int) -> tuple[Int[np.ndarray, " strong"], Int[np.ndarray, " weak"]] | None:
    """The strongest and the weakest quarter of all fragments, or as many as are needed; None: they do not differ."""
    ranks, _ = ranked(maxima)
    size = max(len(ranks) // QUARTER, n + N_TRAIN, GROUPS * BESIDE)
    if 2 * size > len(ranks) or maxima[ranks[size - 1]] <= max(maxima[ranks[-size]], 0):
        return None
    return ranks[:size], ranks[-size:]


def _beside_top(ranks: Int[np.ndarray, " ranks"]) -> Int[np.ndarray, " others"]:
    """Without those that Bills et al. 2023 show, which stay with the explainer."""
    return _without(ranks, ranks[:N_TOP:STRIDE])


def _without(values: Int[np.ndarray, " values"], others: Int[np.ndarray, " others"]) -> Int[np.ndarray, " left"]:
    return values[~np.isin(values, others)]


def _evenly(values: Int[np.ndarray, " values"], n: int) -> Int[np.ndarray, " n"]:
    return values[np.linspace(0, len(values) - 1, n).round().astype(int)]

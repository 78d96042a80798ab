"""N-gram models against the formula, written with dictionaries."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.lm import ngrams


def brute_force(train: list[int], held_out: list[int], vocabulary: int, order: int, start: int) -> float:
    counts: list[Counter] = [Counter() for _ in range(order + 1)]
    followers: list[dict] = [defaultdict(Counter) for _ in range(order + 1)]
    for n in range(1, order + 1):
        for i in range(len(train) - n + 1):
            *context, token = train[i : i + n]
            counts[n][tuple(context)] += 1
            followers[n][tuple(context)][token] += 1

    def probability(token: int, context: tuple[int, ...]) -> float:
        n = len(context) + 1
        lower = 1 / vocabulary if n == 1 else probability(token, context[1:])
        total = counts[n][context]
        if total == 0:
            return lower
        seen = followers[n][context]
        return max(seen[token] - ngrams.DISCOUNT, 0) / total + ngrams.DISCOUNT * len(seen) / total * lower

    scored = range(start, len(held_out))
    return -sum(math.log(probability(held_out[i], tuple(held_out[i - order + 1 : i]))) for i in scored) / len(scored)


@settings(max_examples=60, deadline=None)
@given(
    train=st.lists(st.integers(0, 3), max_size=40),
    held_out=st.lists(st.integers(0, 3), min_size=4, max_size=20),
    orders=st.integers(1, 4),
)
def test_every_order_is_the_formula(train: list[int], held_out: list[int], orders: int) -> None:
    found = ngrams.cross_entropy(np.array(train, np.int32), np.array(held_out, np.int32), 4, orders)
    wanted = [brute_force(train, held_out, 4, order, orders - 1) for order in range(1, orders + 1)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


def test_probabilities_of_all_next_tokens_sum_to_one() -> None:
    train = np.random.default_rng(0).integers(0, 5, 300)
    context = [1, 2, 0]
    total = sum(math.exp(-ngrams.cross_entropy(train, np.array([*context, token]), 5, 4)[-1]) for token in range(5))
    assert total == pytest.approx(1, abs=1e-12)


def test_a_cycle_is_learned_by_the_second_order() -> None:
    cycle = np.tile(np.arange(8), 500)
    first, second = ngrams.cross_entropy(cycle, cycle[:80], 8, 2)
    assert first == pytest.approx(math.log(8), abs=1e-3)
    assert second < 0.01

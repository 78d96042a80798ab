"""Interpolated n-gram language models: what a transformer must beat to have learned more than word order.

Absolute discounting (Ney, Essen & Kneser 1994), interpolated from order n down to the uniform distribution:

    p_n(w | h) = max(c(h w) - D, 0) / c(h) + D * types(h) / c(h) * p_{n-1}(w | h')

with h' the context h without its oldest token, and p_{n-1} alone where h was never seen.
"""

import numpy as np
from numpy.typing import NDArray

DISCOUNT = 0.75


def cross_entropy(
    train: NDArray[np.integer], held_out: NDArray[np.integer], vocabulary: int, orders: int = 5
) -> list[float]:
    """Mean negative log-likelihood of `held_out`, nats per token, for the orders 1 to `orders`.

    `train` and `held_out` are streams of token ids below `vocabulary`, [token]. Every order is scored on the same
    tokens, from position `orders - 1` on; `held_out` must be longer than that.
    """
    both = np.concatenate([train, held_out]).astype(np.int64)
    contexts = np.zeros(len(both) + 1, np.int64)  # a number for the run of order - 1 tokens that begins at each place
    probability = np.full(len(held_out) - orders + 1, 1 / vocabulary)
    losses = []
    for order in range(1, orders + 1):
        n_places = len(both) - order + 1
        contexts = contexts[:n_places]
        # A run of tokens is numbered by the pair of its context's number and its last token: exact, no hashing.
        grams = np.unique(contexts * vocabulary + both[order - 1 :], return_inverse=True)[1]
        counted = slice(0, max(len(train) - order + 1, 0))  # runs across the border of the streams belong to neither
        scored = slice(len(train) + orders - order, n_places)
        probability = _interpolated(
            grams[counted], contexts[counted], grams[scored], contexts[scored], probability, n_numbers=n_places + 1
        )
        losses.append(float(-np.log(probability).mean()))
        contexts = grams
    return losses


def _interpolated(
    train_grams: NDArray[np.int64],
    train_contexts: NDArray[np.int64],
    grams: NDArray[np.int64],
    contexts: NDArray[np.int64],
    lower: NDArray[np.float64],
    n_numbers: int,
) -> NDArray[np.float64]:
    """The probability of each of `grams` after its context, given that of the next lower order; all [token]."""
    gram_counts = np.bincount(train_grams, minlength=n_numbers)
    context_counts = np.bincount(train_contexts, minlength=n_numbers)
    context_of_gram = np.zeros(n_numbers, np.int64)
    context_of_gram[train_grams] = train_contexts
    types = np.bincount(context_of_gram[gram_counts > 0], minlength=n_numbers)  # distinct tokens after a context

    total = context_counts[contexts]
    discounted = np.maximum(gram_counts[grams] - DISCOUNT, 0) + DISCOUNT * types[contexts] * lower
    return np.where(total > 0, discounted / np.maximum(total, 1), lower)

"""Fragments of made-up text, and features that follow a known rule on them."""

import numpy as np

from sparse_coding.interp.cases import Fragments

WORDS = [f" word{number}" for number in range(150)]
DIGITS = [f" {number}" for number in range(10)]
OTHERS = [" The", "ing", ",", ";", "\n", " URL", " x"]
VOCABULARY = [*WORDS, *DIGITS, *OTHERS]
SHAPE = (400, 64)
FIRST, SECOND, RARE = 3, 4, 5  # tokens that rules are planted on


def tokens(seed: int = 0) -> np.ndarray:
    """Token ids [fragment, token], uniform, with ' word3 word4' put into a quarter of the fragments."""
    random = np.random.default_rng(seed)
    ids = random.integers(0, len(VOCABULARY), SHAPE).astype(np.int32)
    for fragment in range(0, SHAPE[0], 4):
        place = random.integers(0, SHAPE[1] - 1)
        ids[fragment, place : place + 2] = FIRST, SECOND
    return ids


def fragments(ids: np.ndarray, seed: int = 0) -> Fragments:
    """They, as explainers and judges are given them."""
    return Fragments(ids, VOCABULARY, seed)


def fires(kind: str, ids: np.ndarray) -> np.ndarray:
    """Where a planted feature is active, [fragment, token], token by token."""
    rules = {
        "token": lambda row, at: row[at] == RARE,
        "bigram": lambda row, at: at > 0 and row[at - 1] == FIRST and row[at] == SECOND,
        "after": lambda row, at: at > 0 and row[at - 1] == RARE,
        "within": lambda row, at: RARE in row[max(0, at - 8) : at],
        "digits": lambda row, at: VOCABULARY[row[at]] in DIGITS,
    }
    return np.array([[rules[kind](row, at) for at in range(len(row))] for row in ids.tolist()])


def activations(kind: str, ids: np.ndarray, seed: int = 0) -> np.ndarray:
    """Activations between 0.9 and 1.1 where the feature fires, 0 elsewhere."""
    strength = np.random.default_rng(seed).uniform(0.9, 1.1, ids.shape)
    return (fires(kind, ids) * strength).astype(np.float32)


def noise(n_features: int, seed: int = 0) -> np.ndarray:
    """Features [feature, fragment, token] that have nothing to do with the text."""
    return np.maximum(np.random.default_rng(seed).normal(-1.5, 1, (n_features, *SHAPE)), 0).astype(np.float32)

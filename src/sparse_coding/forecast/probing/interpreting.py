"""Processor time of token rules: explaining and scoring a feature, encoding fragments."""

from functools import cache

import numpy as np

from sparse_coding.forecast.probing.probe import seconds_of
from sparse_coding.interp.cases import Feature, Fragments
from sparse_coding.interp.token_rules import TokenRulesSimulator, panel

FRAGMENTS = 400


def _words(n: int) -> list[str]:
    return [f" w{number}" for number in range(n)]


@cache
def _fragments(vocabulary: int, fragment_tokens: int) -> Fragments:
    words = _words(vocabulary)
    frequencies = 1 / np.arange(1, vocabulary + 1)
    draws = np.random.default_rng(0)
    ids = draws.choice(vocabulary, (FRAGMENTS, fragment_tokens), p=frequencies / frequencies.sum())
    return Fragments(ids, words, 0)


@cache
def vocabulary_read(vocabulary: int) -> float:
    """Seconds in which explainer and simulator fold the vocabulary."""
    words = _words(vocabulary)
    return 2 * seconds_of(lambda: TokenRulesSimulator(words), warm=False, least=0.0)


@cache
def feature(vocabulary: int, fragment_tokens: int, rules: int) -> float:
    """Seconds to explain and score a feature that fires on a token or two and on chance."""
    fragments = _fragments(vocabulary, fragment_tokens)
    scorer, tokens, draws = panel(fragments, rules), fragments.tokens, np.random.default_rng(1)
    fires = np.isin(tokens, [3, 17, 40]) | (draws.random(tokens.shape) < 0.01)
    made_up = Feature(0, (fires * draws.random(tokens.shape)).astype(np.float32))
    return seconds_of(lambda: scorer.computed(made_up), least=0.2)


@cache
def fragment_ranked() -> float:
    """Seconds a fragment of finding the highest activations of a feature."""
    activations = np.random.default_rng(2).random((4000, 64), dtype=np.float32)

    def call() -> None:
        np.argsort(-activations.max(axis=1), kind="stable")

    return seconds_of(call, least=0.05) / len(activations)

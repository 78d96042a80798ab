"""Processor time of token rules: explaining and scoring a feature, encoding fragments."""

from functools import cache

import numpy as np

from sparse_coding.forecast.probing.probe import seconds_of
from sparse_coding.interp.scorer import Scorer
from sparse_coding.interp.token_rules import TokenRulesExplainer, TokenRulesSimulator

FRAGMENTS = 400


def _words(n: int) -> list[str]:
    return [f" w{number}" for number in range(n)]


@cache
def _scorer(vocabulary: int, fragment_tokens: int, rules: int) -> Scorer:
    words = _words(vocabulary)
    frequencies = 1 / np.arange(1, vocabulary + 1)
    draws = np.random.default_rng(0)
    ids = draws.choice(vocabulary, (FRAGMENTS, fragment_tokens), p=frequencies / frequencies.sum())
    return Scorer(TokenRulesExplainer(words, rules), TokenRulesSimulator(words), ids, 0)


@cache
def vocabulary_read(vocabulary: int) -> float:
    """Seconds in which explainer and simulator fold the vocabulary."""
    words = _words(vocabulary)
    return 2 * seconds_of(lambda: TokenRulesSimulator(words), warm=False, least=0.0)


@cache
def feature(vocabulary: int, fragment_tokens: int, rules: int) -> float:
    """Seconds to explain and score a feature that fires on a token or two and on chance."""
    scorer = _scorer(vocabulary, fragment_tokens, rules)
    draws = np.random.default_rng(1)
    fires = np.isin(scorer.tokens, [3, 17, 40]) | (draws.random(scorer.tokens.shape) < 0.01)
    activations = (fires * draws.random(scorer.tokens.shape)).astype(np.float32)
    return seconds_of(lambda: scorer.score(0, activations), least=0.2)


@cache
def fragment_ranked() -> float:
    """Seconds a fragment of finding the highest activations of a feature."""
    activations = np.random.default_rng(2).random((4000, 64), dtype=np.float32)

    def call() -> None:
        np.argsort(-activations.max(axis=1), kind="stable")

    return seconds_of(call, least=0.05) / len(activations)

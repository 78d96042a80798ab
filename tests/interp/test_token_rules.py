"""The rules: found again where they were planted, and equal to a search written out in plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.interp.explainers import Records, discretise
from sparse_coding.interp.token_rules import KINDS, PRICE, Rule, TokenRules, TokenRulesExplainer, TokenRulesSimulator
from tests.interp import planted

VOCABULARY = [" a", "b", "B", "7", ",", "\n", " If", "KEY"]
CLASS_OF = {"7": "digits", ",": "punctuation", "\n": "newline", " If": "capitalised", "KEY": "upper-case"}
CLASS_OF |= {"B": "capitalised"}


def rules_at(row: list[str], at: int) -> set[tuple[str, tuple[str, ...]]]:
    """Every rule that fits one token, read off the text."""
    folded = [text.strip().lower() or text for text in row]
    found = {("token", (folded[at],))}
    if at > 0:
        found |= {("bigram", (folded[at - 1], folded[at])), ("after", (folded[at - 1],))}
    found |= {("within", (text,)) for text in folded[max(0, at - 8) : at]}
    if row[at] in CLASS_OF:
        found.add(("class", (CLASS_OF[row[at]],)))
    return found


def check_greedy(explanation: TokenRules, texts: list[list[str]], levels: np.ndarray, max_rules: int) -> None:
    """Each rule of `explanation` saves as much squared error as any could, on the tokens that were left."""
    default = float(np.median(levels))
    assert explanation.default == default
    fitting = {(r, at): rules_at(row, at) for r, row in enumerate(texts) for at in range(len(row))}
    left = set(fitting)

    def saved(rule: tuple) -> tuple[float, float]:
        on = [float(levels[place]) for place in left if rule in fitting[place]]
        level = default + sum(value - default for value in on) / (len(on) + 0.5)
        return sum((value - default) ** 2 - (value - level) ** 2 for value in on), level

    for rule in explanation.rules:
        savings = {other: saved(other) for other in set().union(*fitting.values())}
        mine, level = savings[rule.kind, rule.texts]
        best = max(saving for saving, _ in savings.values())
        assert mine == pytest.approx(best, abs=1e-9)
        assert mine > PRICE
        assert rule.level == pytest.approx(level, abs=1e-12)
        same = [other for other, found in savings.items() if found == (mine, level)]
        assert min(same, key=lambda other: (KINDS.index(other[0]), other[1])) == (rule.kind, rule.texts)
        left -= {place for place, rules in fitting.items() if (rule.kind, rule.texts) in rules}
    if len(explanation.rules) < max_rules:
        assert all(saved(rule)[0] <= PRICE + 1e-9 for rule in set().union(*fitting.values()))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), st.integers(1, 14), st.integers(1, 4), st.integers(0, 10**6), st.floats(0, 1))
def test_greedy_search_and_simulation_against_plain_python(n_records, width, max_rules, seed, density):
    random = np.random.default_rng(seed)
    tokens = random.integers(0, len(VOCABULARY), (n_records, width))
    active = random.random(tokens.shape) < density
    activations = (random.integers(0, 11, tokens.shape) * active).astype(np.float32)
    explanation = TokenRulesExplainer(VOCABULARY, max_rules).explained(Records(tokens, activations))
    texts = [[VOCABULARY[token] for token in row] for row in tokens]
    assert len(explanation.rules) <= max_rules
    check_greedy(explanation, texts, discretise(activations), max_rules)

    expected = [
        [
            next((r.level for r in explanation.rules if (r.kind, r.texts) in rules_at(row, at)), explanation.default)
            for at in range(width)
        ]
        for row in texts
    ]
    assert TokenRulesSimulator(VOCABULARY).levels(explanation, tokens).tolist() == expected


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("token", ("token", ("word5",))),
        ("bigram", ("bigram", ("word3", "word4"))),
        ("after", ("after", ("word5",))),
        ("within", ("within", ("word5",))),
        ("digits", ("class", ("digits",))),
    ],
)
def test_a_planted_rule_is_the_first_rule(kind, rule):
    ids = planted.tokens()
    activations = planted.activations(kind, ids)
    shown = np.argsort(-activations.max(axis=1))[:5]
    found = TokenRulesExplainer(planted.VOCABULARY, 3).explained(Records(ids[shown], activations[shown]))
    assert (found.rules[0].kind, found.rules[0].texts) == rule


def test_levels_are_those_of_the_protocol():
    activations = np.array([[-1.0, 0.0, 0.39, 0.4, 3.99, 4.0]], np.float32)
    assert discretise(activations).tolist() == [[0, 0, 0, 1, 9, 10]]
    assert discretise(np.zeros((1, 3), np.float32)).tolist() == [[0, 0, 0]]


def test_explanations_say_what_made_them():
    rules = TokenRules((Rule("token", (";",), 8.24), Rule("class", ("digits",), 2.0)), 0.0)
    assert rules.text == "[token rules, no LLM] ';' (8.2); any digits token (2.0); elsewhere 0.0"
    others = TokenRules(tuple(Rule(kind, ("a", "b")[: 1 + (kind == "bigram")], 1.0) for kind in KINDS[1:3]), 0.5)
    assert others.text == "[token rules, no LLM] 'b' after 'a' (1.0); any token after 'a' (1.0); elsewhere 0.5"


def test_a_silent_record_needs_no_rule():
    records = Records(np.zeros((5, 64), np.int64), np.zeros((5, 64), np.float32))
    assert TokenRulesExplainer(["a"], 3).explained(records) == TokenRules((), 0.0)


def test_a_text_outside_the_vocabulary_fits_nothing():
    rules = TokenRules((Rule("after", ("zebra",), 5.0), Rule("bigram", ("zebra", "a"), 5.0)), 0.0)
    assert not TokenRulesSimulator(["a", "b"]).levels(rules, np.array([[0, 1, 0]])).any()

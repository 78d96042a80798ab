"""The offline explainer and simulator: a short decision list over token texts. No language model takes part.

It measures how far a feature follows the surface of the text, not its meaning. That the list is short is the
method: long lists predict random directions as well as learned features (docs/decisions.md: K). N-gram
explanations of neurons were used before by Foote et al. 2023.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from sparse_coding.interp.cases import Fragments
from sparse_coding.interp.explainers import Records, discretise
from sparse_coding.interp.fragments import Mode
from sparse_coding.interp.panel import Panel
from sparse_coding.interp.simulation import Predictions, Simulation
from sparse_coding.interp.token_texts import CLASSES, OUTSIDE, TokenTexts, behind

LABEL = "[token rules, no LLM]"
REACH = 8  # tokens after X that the rule `within` covers
SHRINKAGE = 0.5  # imagined tokens at the default level that join each rule's mean
PRICE = 1.0  # squared error (levels 0 to 10) that a rule must save to be worth having

Kind = Literal["token", "bigram", "after", "class", "within"]  # from plain to broad: the order that settles ties
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Rule:
    """Tokens of one kind and the level expected on them; `texts` are folded texts, or the name of a class."""

    kind: Kind
    texts: tuple[str, ...]
    level: float

    def __str__(self) -> str:
        first, last = self.texts[0], self.texts[-1]
        where = {
            "token": f"{first!r}",
            "bigram": f"{last!r} after {first!r}",
            "after": f"any token after {first!r}",
            "class": f"any {first} token",
            "within": f"any token within {REACH} after {first!r}",
        }
        return f"{where[self.kind]} ({self.level:.1f})"


@dataclass(frozen=True)
class TokenRules:
    """A decision list: the first rule that fits a token gives its level, `default` where none does."""

    rules: tuple[Rule, ...]
    default: float

    @property
    def text(self) -> str:
        """The rules in order, each with its level, after the label."""
        return f"{LABEL} " + "; ".join([*map(str, self.rules), f"elsewhere {self.default:.1f}"])

    @property
    def n_rules(self) -> int:
        """How many rules there are."""
        return len(self.rules)


class TokenRulesExplainer:
    """Greedy search for at most `max_rules` rules with the least squared error on the records' levels."""

    digest = None

    def __init__(self, vocabulary: Sequence[str], max_rules: int) -> None:
        self._texts = TokenTexts(vocabulary)
        self._max_rules = max_rules

    def questions(self, records: Records) -> list[Any]:
        """None: the rules are computed."""
        return []

    def explained(self, records: Records, answers: Sequence[Any] = ()) -> TokenRules:
        """Start from the median; add the rule that saves most on tokens no earlier rule took, while it pays."""
        levels = discretise(records.activations).ravel()
        default = float(np.median(levels))
        excess = levels - default
        candidates = _Candidates(self._texts, records.tokens)
        rules: list[Rule] = []
        for _ in range(self._max_rules):
            count, total = candidates.sums(np.ones_like(excess)), candidates.sums(excess)
            saved = squared_error_saved(count, total)
            best = int(np.argmax(saved))
            if saved[best] <= PRICE:
                break
            rules.append(Rule(*candidates.describe(best), default + float(shrunk_mean(count[best], total[best]))))
            candidates.take(best)
        return TokenRules(tuple(rules), default)


class TokenRulesSimulator:
    """Applies a decision list: the first rule that fits gives the level."""

    name = "rules"
    sources = ("rules",)
    digest = None

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._texts = TokenTexts(vocabulary)

    def questions(self, explanation: TokenRules, tokens: Int[np.ndarray, "record token"]) -> list[Any]:
        """None."""
        return []

    def predictions(
        self, explanation: TokenRules, tokens: Int[np.ndarray, "record token"], answers: Sequence[Any] = ()
    ) -> Predictions:
        """See Simulator."""
        return {"rules": self.levels(explanation, tokens)}

    def levels(
        self, explanation: TokenRules, tokens: Int[np.ndarray, "record token"]
    ) -> Float[np.ndarray, "record token"]:
        """The level expected on each token."""
        levels = np.full(tokens.shape, explanation.default)
        for rule in reversed(explanation.rules):  # the first rule is written last and stays
            levels[self._fits(rule, tokens)] = rule.level
        return levels

    def _fits(self, rule: Rule, tokens: Int[np.ndarray, "record token"]) -> Bool[np.ndarray, "record token"]:
        if rule.kind == "class":
            return self._texts.classes(tokens) == CLASSES.index(rule.texts[0])
        folded = self._texts.fold(tokens)
        first = self._texts.number(rule.texts[0])
        match rule.kind:
            case "token":
                return folded == first
            case "bigram":
                return (behind(folded, 1) == first) & (folded == self._texts.number(rule.texts[1]))
            case "after":
                return behind(folded, 1) == first
            case _:
                return np.any([behind(folded, steps) == first for steps in range(1, REACH + 1)], axis=0)


def panel(fragments: Fragments, max_rules: int, mode: Mode = "nonzero") -> Panel:
    """Rules as explainer and as simulator, with nobody to ask."""
    explainer = TokenRulesExplainer(fragments.vocabulary, max_rules)
    return Panel(explainer, Simulation(fragments, TokenRulesSimulator(fragments.vocabulary), mode))


def squared_error_saved(
    count: Float[np.ndarray, " rule"], total: Float[np.ndarray, " rule"]
) -> Float[np.ndarray, " rule"]:
    """What a rule saves against the default: sum(e^2) - sum((e - m)^2) = 2 m total - count m^2.

    e is the excess of a token over the default, `total` its sum over the `count` tokens of the rule, m the shrunk mean.
    """
    mean = shrunk_mean(count, total)
    return 2 * mean * total - count * mean**2


def shrunk_mean(
    count: Float[np.ndarray, "*rule"] | np.floating, total: Float[np.ndarray, "*rule"] | np.floating
) -> Float[np.ndarray, "*rule"] | np.floating:
    """The mean excess of `count` tokens, pulled towards the default by SHRINKAGE more tokens of no excess."""
    return total / (count + SHRINKAGE)


class _Candidates:
    """All rules that fit some token of the records, and which tokens they fit that are still free.

    Held as pairs (rule, token), sorted by kind, text and place: equal savings go to the plainer rule.
    """

    def __init__(self, texts: TokenTexts, tokens: Int[np.ndarray, "record token"]) -> None:
        self._texts = texts
        self._width = len(texts.texts)
        folded, classes = texts.fold(tokens), texts.classes(tokens)
        before = [behind(folded, steps) for steps in range(1, REACH + 1)]
        previous = before[0]
        bigrams = np.where(previous == OUTSIDE, OUTSIDE, previous * self._width + folded)
        labels = {"token": [folded], "bigram": [bigrams], "after": [previous], "class": [classes], "within": before}
        # A rule is kind * kind_size + label, a pair is rule * tokens + place; unique sorts them and drops repeats.
        self._kind_size = self._width**2 + len(CLASSES)
        pairs = [
            (KINDS.index(kind) * self._kind_size + label.ravel()[there]) * tokens.size + there
            for kind in KINDS
            for label in labels[kind]
            for there in [np.flatnonzero(label >= 0)]
        ]
        rules, self._place = np.divmod(np.unique(np.concatenate(pairs)), tokens.size)
        self._keys, self._rule = np.unique(rules, return_inverse=True)
        self._free = np.ones(tokens.size)

    def sums(self, values: Float[np.ndarray, " token"]) -> Float[np.ndarray, " rule"]:
        """For each rule the sum of `values` over the free tokens that it fits."""
        return np.bincount(self._rule, weights=(values * self._free)[self._place], minlength=len(self._keys))

    def take(self, rule: int) -> None:
        """The tokens that `rule` fits are free no longer."""
        self._free[self._place[self._rule == rule]] = 0

    def describe(self, rule: int) -> tuple[Kind, tuple[str, ...]]:
        """The kind and the texts of a rule."""
        number, label = divmod(int(self._keys[rule]), self._kind_size)
        kind, texts = KINDS[number], self._texts.texts
        if kind == "class":
            return kind, (CLASSES[label],)
        if kind == "bigram":
            first, second = divmod(label, self._width)
            return kind, (texts[first], texts[second])
        return kind, (texts[label],)

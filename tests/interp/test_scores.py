import numpy as np
import pytest
from scipy.stats import pearsonr

from sparse_coding.interp.cases import Feature
from sparse_coding.interp.fragments import select
from sparse_coding.interp.panel import Panel
from sparse_coding.interp.scores import FeatureScore, correlation
from sparse_coding.interp.simulation import Simulation
from sparse_coding.interp.statistics import mean_interval
from sparse_coding.interp.token_rules import TokenRulesExplainer, panel
from tests.interp import planted

TOKENS = planted.tokens()


@pytest.fixture(scope="module")
def rules() -> Panel:
    return panel(planted.fragments(TOKENS), 3)


def scored(rules: Panel, *feature, **how) -> FeatureScore:
    return rules.computed(Feature(*feature, **how))["rules"]


@pytest.mark.parametrize("kind", ["token", "bigram", "after", "within", "digits"])
def test_planted_features_are_explained(rules, kind):
    score = scored(rules, 0, planted.activations(kind, TOKENS))
    assert score.status == "ok"
    assert score.top > 0.9
    assert score.top_and_random > 0.9
    assert score.explanation.startswith("[token rules, no LLM]")
    assert 1 <= score.n_rules <= 3


def test_noise_is_not_explained(rules):
    scores = [scored(rules, feature, activations) for feature, activations in enumerate(planted.noise(40))]
    assert abs(np.mean([score.top_and_random for score in scores])) < 0.03


@pytest.mark.parametrize("kind", ["token", "bigram", "within", "digits"])
def test_the_shuffled_null_scores_zero(rules, kind):
    activations = planted.activations(kind, TOKENS)
    scores = [scored(rules, feature, activations, shuffled=True).top_and_random for feature in range(60)]
    interval = mean_interval(scores, 2000, 0)
    assert interval.low <= 0 <= interval.high
    assert interval.high < 0.1


def test_the_explainer_sees_the_train_fragments_alone(rules):
    activations = np.zeros(planted.SHAPE, np.float32)
    activations[:, 10] = np.arange(400, 0, -1)
    chosen = select(activations.max(axis=1), 0, 0)
    shown = []

    class Watching(TokenRulesExplainer):
        def explained(self, records, answers=()):
            shown.append(records)
            return super().explained(records)

    scored(Panel(Watching(planted.VOCABULARY, 3), rules.judge), 0, activations)
    assert np.array_equal(shown[0].tokens, TOKENS[chosen.train])
    assert np.array_equal(shown[0].activations, activations[[0, 4, 8, 12, 16]])


class Constant:
    """A simulator that always says the same, and is asked nothing."""

    name, sources, digest = "constant", ("rules",), None

    def questions(self, explanation, tokens):
        return []

    def predictions(self, explanation, tokens, answers):
        return {"rules": np.ones(tokens.shape)}


def test_statuses(rules):
    silent = np.zeros(planted.SHAPE, np.float32)
    assert scored(rules, 5, silent) == FeatureScore(5, "dead", 0)
    few = silent.copy()
    few[:24, 7] = 1
    assert scored(rules, 5, few) == FeatureScore(5, "too_few", 24)
    few[24, 7] = 1
    enough = scored(rules, 5, few)
    assert (enough.status, enough.n_firing_fragments) in {("ok", 25), ("pred_constant", 25)}
    constant = scored(Panel(rules.explainer, Simulation(planted.fragments(TOKENS), Constant())), 5, few)
    assert (constant.status, constant.top, constant.random, constant.top_and_random) == ("pred_constant", 0, 0, 0)
    always = scored(rules, 5, silent + 1)
    assert (always.status, always.top, always.random, always.top_and_random) == ("truth_constant", None, None, None)


def test_random_alone_counts_a_constant_prediction_as_zero(rules):
    """Weak activations on random fragments stand on tokens that no rule names."""
    activations = planted.activations("token", TOKENS)
    firing = activations.max(axis=1) > 0
    elsewhere = np.zeros_like(activations)
    elsewhere[~firing, 20] = 0.01 * np.linspace(0.5, 1, int((~firing).sum()))
    strong = np.argsort(-activations.max(axis=1))[:20]
    activations[np.setdiff1d(np.arange(400), strong)] = 0
    score = scored(rules, 1, activations + elsewhere)
    assert score.status == "ok"
    assert score.random == 0
    assert score.top_and_random > 0.9


def test_one_correlation_over_all_tokens_together():
    random = np.random.default_rng(0)
    truth, prediction = random.random((10, 64)).astype(np.float32), random.random((10, 64))
    prediction[5:] += 3
    truth[5:] += 1
    assert correlation(truth, prediction) == pytest.approx(pearsonr(truth.ravel(), prediction.ravel()).statistic)
    mean = np.mean([pearsonr(*pair).statistic for pair in zip(truth, prediction, strict=True)])
    assert abs(correlation(truth, prediction) - mean) > 0.3


def test_a_score_does_not_depend_on_scale_or_company(rules):
    kinds = ["token", "bigram", "within", "digits"]
    features = [planted.activations(kind, TOKENS) for kind in kinds]
    forward = [scored(rules, feature, features[feature]) for feature in range(4)]
    backward = [scored(rules, feature, features[feature]) for feature in reversed(range(4))]
    assert forward == backward[::-1]
    scaled = scored(rules, 1, features[1] * 1024)
    assert scaled.top_and_random == pytest.approx(forward[1].top_and_random)
    assert scaled.explanation == forward[1].explanation

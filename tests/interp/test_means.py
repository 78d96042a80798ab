"""Means of tables that are built by hand, so that every answer is known."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.interp.means import COLUMNS, JUDGED_COLUMNS, SEED, means
from sparse_coding.interp.measures import BY_SCORER
from sparse_coding.interp.statistics import (
    difference_interval,
    holm,
    mean_interval,
    permutation_p,
    weighted_mean_interval,
)
from sparse_coding.io import tables
from sparse_coding.io.judged import JUDGED
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.settings.params import Scoring

RESAMPLES = 200
UNSCORED = ("dead", "too_few", "truth_constant", "failed")
RULES = {
    "scorer": "token-rules",
    "explainer": "token-rules",
    "judge": "token-rules",
    "simulator": "rules",
    "source": "rules",
    "prompts": None,
}
ASKED = {"explainer": "large", "judge": "small", "prompts": "1234"}
SIMULATION = ASKED | {"scorer": "simulation", "simulator": "chat"}
DETECTION = ASKED | {"scorer": "detection", "simulator": "classifier", "source": "answers"}
NUMBERS = COLUMNS[COLUMNS.index("mean") :]
COMPARED = COLUMNS[COLUMNS.index("difference") :]


def features(name: str, *scores: float | str | dict, asked=RULES, condition="plain", **about) -> list[dict]:
    """Rows of one dictionary: a number is an ok score, a word a status without one, a dict has columns of its own."""
    rows = []
    headline = "balanced_accuracy" if asked["scorer"] in ("detection", "fuzzing") else "top_and_random"
    for feature, score in enumerate(scores):
        row = dict.fromkeys(AUTOINTERP.names) | {"status": "ok", "n_firing_fragments": 30, "feature": feature}
        row |= {
            "site": "layer2_residual",
            "name": name,
            "kind": "tied",
            "condition": condition,
            "mode": "nonzero",
            "choice": "sample",
        }
        row |= asked | {"wanted": 100, "ratio": 4.0, "l1": 2e-3, "seed": 0} | about
        if isinstance(score, dict):
            row |= score
        else:
            row |= {"status": score} if isinstance(score, str) else {headline: score}
        tables.check(name, row, AUTOINTERP)
        rows.append(row)
    return rows


def random_directions(*scores: float | str | dict, **about) -> list[dict]:
    return features("random", *scores, kind="random", ratio=None, l1=None, **about)


def only(rows: list[dict]) -> dict:
    (found,) = means(rows, RESAMPLES)
    return found


def by_name(rows: list[dict]) -> dict[str, dict]:
    return {found["name"]: found for found in means(rows, RESAMPLES)}


def test_a_line_says_what_it_is_about_and_what_became_of_each_feature():
    statuses = ["dead", "too_few", "too_few", "truth_constant", *["failed"] * 3]
    constant = {"status": "pred_constant", "top_and_random": 0.0}
    found = only(features("tied", 0.5, 0.7, constant, *statuses))
    assert tuple(found) == COLUMNS
    about = {"site": "layer2_residual", "name": "tied", "kind": "tied", "ratio": 4.0, "l1": 2e-3, "k": None, "seed": 0}
    about |= {
        "condition": "plain",
        "mode": "nonzero",
        "choice": "sample",
        "score": "top_and_random",
        "wanted": 100,
    } | RULES
    counts = {"sampled": 10, "scored": 3, "dead": 1, "too_few": 2, "truth_constant": 1, "pred_constant": 1, "failed": 3}
    assert {key: found[key] for key in about | counts} == about | counts


def test_dead_features_turn_the_order_of_two_dictionaries():
    """The example of the design: A .45 with 60 % dead, B .40 with 5 % dead."""
    found = by_name([*features("a", *[0.45] * 40, *["dead"] * 60), *features("b", *[0.4] * 95, *["dead"] * 5)])
    assert found["a"]["mean"] > found["b"]["mean"]
    assert (found["a"]["mean_dead_zero"], found["b"]["mean_dead_zero"]) == pytest.approx((0.18, 0.38))
    assert found["a"]["mean_dead_zero_high"] < found["b"]["mean_dead_zero_low"]


def test_what_has_too_few_fragments_counts_like_the_dead_and_what_is_missing_does_not():
    found = only(features("tied", 0.9, 0.6, "dead", "too_few", "failed", "truth_constant"))
    assert found["mean"] == pytest.approx(0.75)
    assert found["mean_dead_zero"] == pytest.approx(1.5 / 4)


def test_a_constant_prediction_is_a_score():
    correlated = only(features("tied", 0.6, 0.9, {"status": "pred_constant", "top_and_random": 0.0}))
    assert correlated["mean"] == pytest.approx(0.5)
    constant = {"status": "pred_constant", "balanced_accuracy": 0.5}
    assert only(features("tied", 0.7, 0.9, constant, asked=DETECTION))["mean"] == pytest.approx(0.7)


def test_knowing_nothing_is_chance_for_accuracies():
    found = only(features("tied", 0.9, 0.7, "dead", "too_few", asked=DETECTION))
    assert found["score"] == "balanced_accuracy"
    assert found["mean"] == pytest.approx(0.8)
    assert found["mean_dead_zero"] == pytest.approx(0.65)
    assert {found[column] for column in NUMBERS if "top" in column or "random" in column} == {None}


def test_bounds_of_what_failed():
    found = only(features("tied", 0.5, 0.7, "dead", "failed", "failed"))
    assert (found["mean"], found["mean_failed_low"], found["mean_failed_high"]) == pytest.approx((0.6, 0.3, 0.8))
    whole = only(features("tied", 0.1, 0.2, 0.7, "dead", "truth_constant"))
    assert whole["mean"] == whole["mean_failed_low"] == whole["mean_failed_high"]


def test_rare_features_weigh_less():
    rare, common = {"n_firing_fragments": 30, "top_and_random": 0.9}, {"n_firing_fragments": 270, "top_and_random": 0.1}
    assert only(features("tied", rare, common))["mean_by_frequency"] == pytest.approx(0.18)


def test_intervals_are_those_of_the_statistics():
    scores = np.random.default_rng(0).beta(2, 1, 30)
    fires = np.random.default_rng(1).integers(25, 400, 30)
    scored = [
        {"top_and_random": float(score), "n_firing_fragments": int(n)} for score, n in zip(scores, fires, strict=True)
    ]
    found = only(features("tied", *scored, "dead", "too_few"))

    def interval(column: str) -> tuple[float, ...]:
        return found[column], found[f"{column}_low"], found[f"{column}_high"]

    assert interval("mean") == mean_interval(scores, RESAMPLES, SEED)
    assert interval("mean_dead_zero") == mean_interval([*scores, 0, 0], RESAMPLES, SEED)
    assert interval("mean_by_frequency") == weighted_mean_interval(scores, fires, RESAMPLES, SEED)
    assert found["mean_low"] < found["mean"] < found["mean_high"]


def test_top_and_random_and_the_two_rules_for_constant_predictions():
    found = only(
        features(
            "tied",
            {"top_and_random": 0.8, "top": 0.9, "random": 0.6},
            {"top_and_random": 0.4, "top": 0.5, "random": 0.0},  # nothing predicted on the random fragments
            {"top_and_random": 0.6, "top": 0.7, "random": None},  # nothing to predict there
            {"status": "pred_constant", "top_and_random": 0.0, "top": 0.0, "random": 0.0},
        )
    )
    assert (found["top"], found["n_top"]) == (pytest.approx(2.1 / 4), 4)
    assert (found["random"], found["n_random"]) == (pytest.approx(0.2), 3)
    assert (found["random_dropped"], found["n_random_dropped"]) == (pytest.approx(0.6), 1)


def test_nothing_was_predicted_on_any_random_fragment():
    found = only(features("tied", {"top_and_random": 0.8, "top": 0.9, "random": 0.0}))
    assert (found["random"], found["random_dropped"], found["n_random_dropped"]) == (0, None, 0)


@pytest.mark.parametrize("asked", [RULES, DETECTION])
@pytest.mark.parametrize("status", UNSCORED)
def test_where_nothing_was_scored_there_is_no_number(status, asked):
    rows = [*features("tied", status, status, asked=asked), *random_directions(0.3, 0.4, asked=asked)]
    found = by_name(rows)["tied"]
    assert found["scored"] == 0
    assert found[status] == 2
    assert {found[column] for column in NUMBERS} == {None}
    other = by_name([*features("tied", 0.3, 0.4, asked=asked), *random_directions(status, asked=asked)])["tied"]
    assert {other[column] for column in COMPARED} == {None}


def test_differences_to_the_random_directions():
    draws = np.random.default_rng(2)
    scores = {name: draws.beta(a, 2, n).tolist() for name, a, n in (("good", 5, 40), ("poor", 2, 30), ("pca", 2, 25))}
    chance = draws.beta(2, 2, 35).tolist()
    rows = [row for name, values in scores.items() for row in features(name, *values, "dead")]
    rows += [*random_directions(*chance, "dead"), *features("good", *chance, condition="shuffled_null")]
    lines = means(rows, RESAMPLES)
    found = {line["name"]: line for line in lines if line["condition"] == "plain"}
    p = {name: permutation_p(values, chance, RESAMPLES, SEED) for name, values in scores.items()}
    for (name, values), corrected in zip(scores.items(), holm(list(p.values())), strict=True):
        line = found[name]
        difference = difference_interval(values, chance, RESAMPLES, SEED)
        assert (line["difference"], line["difference_low"], line["difference_high"]) == difference
        assert (line["p"], line["p_holm"]) == (p[name], corrected)
    assert found["good"]["p_holm"] < 0.05 < found["poor"]["p_holm"]
    null = next(line for line in lines if line["condition"] == "shuffled_null")
    for line in (null, found["random"]):
        assert {line[column] for column in COMPARED} == {None}
        assert line["mean"] is not None


def test_without_random_directions_there_is_no_difference():
    found = by_name([*features("tied", 0.5, 0.6), *random_directions(0.1, 0.2, condition="shuffled_null")])
    assert {found["tied"][column] for column in COMPARED} == {None}


def test_two_sources_are_never_put_together():
    def both(make, expected, sampled):
        rows = make(*expected, asked=SIMULATION | {"source": "logprob_ev"})
        return rows + make(*sampled, asked=SIMULATION | {"source": "sampled"})

    def tied(*scores, **about):
        return features("tied", *scores, **about)

    rows = both(tied, [0.8, 0.9], [0.3, 0.4]) + both(random_directions, [0.1, 0.2], [0.25, 0.35])
    found = {(line["name"], line["source"]): line for line in means(rows, RESAMPLES)}
    assert len(found) == 4
    assert {line["scored"] for line in found.values()} == {2}
    assert found["tied", "logprob_ev"]["mean"] == pytest.approx(0.85)
    assert found["tied", "sampled"]["mean"] == pytest.approx(0.35)
    assert found["tied", "logprob_ev"]["difference"] == pytest.approx(0.7)
    assert found["tied", "sampled"]["difference"] == pytest.approx(0.05)
    assert all(found["tied", source]["p"] == found["tied", source]["p_holm"] for source in ("logprob_ev", "sampled"))


@pytest.mark.parametrize("column", ["judge", "explainer", "simulator", "prompts", "mode", "choice"])
def test_other_ways_of_asking_are_kept_apart(column):
    asked = SIMULATION | {"source": "sampled"}
    rows = [*features("tied", 0.8, 0.9, asked=asked), *random_directions(0.1, asked=asked, **{column: "other"})]
    rows += features("tied", 0.2, 0.3, asked=asked, **{column: "other"})
    first, second = sorted(
        (line for line in means(rows, RESAMPLES) if line["name"] == "tied"), key=lambda x: -x["mean"]
    )
    assert (first["mean"], first["difference"]) == (pytest.approx(0.85), None)
    assert (second["mean"], second["difference"]) == (pytest.approx(0.25), pytest.approx(0.15))


def test_servers_are_kept_apart():
    asked = SIMULATION | {"source": "sampled"}
    rows = [row | {"server": "here"} for row in features("tied", 0.8, 0.9, asked=asked)]
    rows += [row | {"server": "there"} for row in features("tied", 0.2, 0.3, asked=asked)]
    assert sorted(line["mean"] for line in means(rows, RESAMPLES)) == pytest.approx([0.25, 0.85])


SCORES = st.one_of(st.floats(-1, 1), st.sampled_from(UNSCORED))
SAMPLES = st.lists(SCORES, min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.sampled_from(["tied", "topk", "pca", "random"]), SAMPLES, min_size=1), st.randoms())
def test_the_order_of_rows_changes_nothing(samples, random):
    rows = [row for name, scores in samples.items() for row in features(name, *scores)]
    rows += features("tied", 0.1, 0.2, "dead", condition="shuffled_null")
    for row in rows:
        row["n_firing_fragments"] += 7 * row["feature"]
    lines = means(rows, 30)
    assert means(random.sample(rows, len(rows)), 30) == lines
    for line in lines:
        assert tuple(line) == COLUMNS
        assert all(math.isfinite(line[column]) for column in NUMBERS if line[column] is not None)
        json.dumps(line)  # plain Python, so that a CSV file has all digits and no type


def test_company_changes_only_the_correction():
    alone = by_name([*features("tied", 0.5, 0.8, 0.9), *random_directions(0.1, 0.3, 0.2)])["tied"]
    rows = [*features("tied", 0.5, 0.8, 0.9), *features("topk", 0.6, 0.4), *random_directions(0.1, 0.3, 0.2)]
    beside = by_name(rows)["tied"]
    assert {column for column in COLUMNS if alone[column] != beside[column]} == {"p_holm"}
    assert alone["p"] == alone["p_holm"] < beside["p_holm"]


def test_a_control_is_no_claim_that_others_are_corrected_for():
    """It has a p of its own, and none that is corrected; the others have what they have without it."""
    claims = [*features("tied", 0.5, 0.8, 0.9), *features("topk", 0.6, 0.4), *random_directions(0.1, 0.3, 0.2)]
    held = features("tied_frozen_decoder", 0.7, 0.75, control="frozen_decoder")
    without, beside = by_name(claims), by_name([*claims, *held])
    assert {name: beside[name] for name in without} == without
    control = beside["tied_frozen_decoder"]
    assert control["p"] == permutation_p([0.7, 0.75], [0.1, 0.3, 0.2], RESAMPLES, SEED)
    assert (control["p_holm"], control["difference"]) == (None, pytest.approx(0.525))
    alone = by_name([*held, *random_directions(0.1, 0.3, 0.2)])["tied_frozen_decoder"]
    assert (alone["p"], alone["p_holm"]) == (control["p"], None)


def test_every_scorer_has_a_headline():
    assert set(BY_SCORER) == set(Scoring.model_fields["scorer"].annotation.__args__)


def judged(name: str, *scores: tuple[float, str, float | None], scorer: str = "detection") -> list[dict]:
    """Rows of language models: a score, what firing texts were told from, and what probabilities say."""
    rows = features(name, *({BY_SCORER["fuzzing"].column: 0.5} for _ in scores), asked=DETECTION | {"scorer": scorer})
    extra = dict.fromkeys(name for name in JUDGED.names if name not in AUTOINTERP.names) | {"shown": "some"}
    column = {"detection": "auc", "intruder": "expected_accuracy"}[scorer]
    return [
        row | extra | {BY_SCORER[scorer].column: score, "negatives": negatives, column: likely}
        for row, (score, negatives, likely) in zip(rows, scores, strict=True)
    ]


def test_features_that_are_hardly_ever_silent_are_told_apart_in_a_mean():
    rows = judged("pca", (0.9, "silent", 0.8), (0.6, "weakest", 0.7), (0.5, "weakest", None), (0.7, "silent", 0.9))
    (line,) = means(rows, RESAMPLES)
    assert tuple(line) == JUDGED_COLUMNS
    assert (line["weakest"], line["scored"], line["n_by_probabilities"], line["shown"]) == (2, 4, 3, "some")
    assert [line["mean"], line["mean_weakest"], line["mean_others"]] == pytest.approx([0.675, 0.55, 0.8])
    assert line["by_probabilities"] == pytest.approx(0.8)
    assert line["by_probabilities_low"] <= 0.8 <= line["by_probabilities_high"]
    (line,) = means(judged("pca", (0.6, "weakest", None)), RESAMPLES)
    assert (line["mean_others"], line["by_probabilities"], line["n_by_probabilities"]) == (None, None, 0)


def test_an_intruder_that_nobody_could_look_for_counts_as_one_of_five():
    rows = judged("tied", (1.0, "silent", 0.5), (0.6, "silent", 0.4), scorer="intruder")
    rows[1] |= {"status": "dead", "accuracy": None, "expected_accuracy": None}
    (line,) = means(rows, RESAMPLES)
    assert (line["score"], line["mean"], line["mean_dead_zero"]) == ("accuracy", 1, pytest.approx(0.6))
    assert line["by_probabilities"] == 0.5


def test_what_the_explainer_saw_is_never_averaged_over():
    one, other = judged("tied", (0.9, "silent", None)), judged("tied", (0.5, "silent", None))
    lines = means([*one, *({**row, "shown": "more"} for row in other)], RESAMPLES)
    assert sorted((line["shown"], line["mean"]) for line in lines) == [("more", 0.5), ("some", 0.9)]

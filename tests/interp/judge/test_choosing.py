"""Which fragments are shown and tested: by brute force, and by what must never happen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.interp.cases import Feature
from sparse_coding.interp.judge import choosing, neighbours
from sparse_coding.interp.judge.choosing import ORIGINAL, Shown
from sparse_coding.interp.judge.classifying import ClassifiedCase, classified, classified_case
from sparse_coding.interp.token_rules import panel
from tests.interp import planted

TOKENS = planted.tokens()
TEXT = planted.fragments(TOKENS)
N = 10
CHOICES = [ORIGINAL, Shown(10), Shown(40, 10), Shown(7, 3)]
DENSE = np.random.default_rng(3).normal(2, 1, TOKENS.shape).clip(0.1).astype(np.float32)
SPARSE = planted.activations("token", TOKENS)


@settings(max_examples=60, deadline=None)
@given(st.integers(40, 200), st.integers(0, 200), st.integers(0, 3))
def test_what_is_tested_was_not_shown_and_does_not_hang_on_what_is_shown(n, firing, seed):
    maxima = np.random.default_rng(seed).normal(size=n).round(1).astype(np.float32)
    maxima[:firing] = np.abs(maxima[:firing]) + 0.1
    chosen = [choosing.whole_texts(maxima, 5, seed, N, shown) for shown in CHOICES]
    assert len({each is None for each in chosen}) == 1
    for each, shown in zip(chosen, CHOICES, strict=True):
        if each is not None:
            tested = [*each.positive, *each.negative]
            assert tested == [*chosen[0].positive, *chosen[0].negative]
            assert len(set(tested)) == 2 * N
            assert not set(tested) & set(each.train)
            assert 5 <= len(set(each.train)) == len(each.train) <= shown.n
            assert (maxima[each.train] > 0).all()
            assert list(maxima[each.train]) == sorted(maxima[each.train], reverse=True)
            assert maxima[each.positive].min() > max(maxima[each.negative].max(), 0)


def test_five_of_the_top_are_those_of_before():
    """Written out as before anything else could be shown: other draws would make all that was asked new questions."""
    maxima = SPARSE.max(axis=1)
    ranks = np.argsort(-maxima, kind="stable")
    firing = ranks[maxima[ranks] > 0]
    top, others = firing[:20:4], np.array([fragment for fragment in firing if fragment not in firing[:20:4]])
    draws = np.random.default_rng((0, 3, 7))
    found = choosing.whole_texts(maxima, 7, 0, N, ORIGINAL)
    assert list(found.train) == list(top)
    assert list(found.positive) == list(others[np.linspace(0, len(others) - 1, N).round().astype(int)])
    assert list(found.negative) == list(draws.choice(np.flatnonzero(maxima <= 0), N, replace=False))
    found = choosing.marked_texts(SPARSE, 7, 0, N, ORIGINAL)
    dealt = np.random.default_rng((0, 3, 7)).permutation(
        others[np.linspace(0, len(others) - 1, 2 * N).round().astype(int)]
    )
    assert (found.negatives, list(found.train)) == ("silent", list(top))
    assert [*found.positive, *found.negative] == list(dealt)
    case = panel(TEXT, 3).judge.case(Feature(7, SPARSE))
    assert np.array_equal(case.train.tokens, TOKENS[ORIGINAL.choose(maxima, np.array([], np.int64), 7, 0)])


def test_quantiles_are_of_equal_counts_and_drawn_from_evenly():
    maxima, tested = np.arange(200, 0, -1).astype(np.float32), np.arange(0, 200, 2)
    left = np.setdiff1d(np.arange(200), tested).reshape(10, 10)
    counts = np.zeros(200)
    for seed in range(200):
        shown = Shown(40, 10).choose(maxima, tested, 3, seed)
        assert [np.isin(shown, part).sum() for part in left] == [4] * 10
        counts[shown] += 1
    assert counts[left.ravel()] == pytest.approx(np.full(100, 80), abs=40)
    assert [len(Shown(7, 3).choose(maxima[:9], np.array([0, 4]), 0, 0)), str(Shown(7, 3))] == [7, "7 in 3 quantiles"]


def test_a_dense_feature_is_told_apart_by_its_strongest_and_weakest_fragments():
    maxima = DENSE.max(axis=1)
    order = list(np.argsort(-maxima))
    chosen = choosing.whole_texts(maxima, 4, 0, N, ORIGINAL)
    assert chosen.negatives == "weakest"
    assert set(chosen.positive) <= set(order[:100]) - set(order[:20:4])
    assert set(chosen.negative) <= set(order[-100:])
    case = classified_case("detection", TEXT, Feature(4, DENSE), N)
    assert isinstance(case, ClassifiedCase)
    assert (case.negatives, classified(case, case.truth).balanced_accuracy) == ("weakest", 1)
    guesses = np.random.default_rng(0).random((400, 2 * N)) < 0.5
    by_chance = [classified(case, said).balanced_accuracy for said in guesses]
    assert abs(np.mean(by_chance) - 0.5) < 3 * np.std(by_chance) / 20


def test_a_feature_that_is_silent_often_enough_is_not_dense():
    maxima = DENSE.max(axis=1)
    maxima[:N] = 0
    assert choosing.whole_texts(maxima, 4, 0, N, ORIGINAL).negatives == "silent"
    maxima[0] = 1
    assert choosing.whole_texts(maxima, 4, 0, N, ORIGINAL).negatives == "weakest"
    maxima[:] = 1
    assert choosing.whole_texts(maxima, 4, 0, N, ORIGINAL) is None


def test_marks_of_a_dense_feature_are_its_strongest_tokens_or_weak_ones():
    case = classified_case("fuzzing", TEXT, Feature(4, DENSE), N)
    assert case.negatives == "weakest"
    rows = {"".join(planted.VOCABULARY[token] for token in row): number for number, row in enumerate(TOKENS)}
    for pieces, positive in zip(case.texts, case.truth, strict=True):
        row = rows["".join(pieces)]
        right = set(np.argsort(-DENSE[row])[:8])
        wrong = choosing.weak_tokens(DENSE[row], 8, 4, row, 0)
        marked = right if positive else set(wrong)
        assert len(marked) == 8
        inside = "".join(planted.VOCABULARY[TOKENS[row, place]] for place in sorted(marked))
        assert "".join(pieces[1::2]) == inside
        assert DENSE[row][list(wrong)].max() <= np.median(DENSE[row])
    assert choosing.marked_texts(np.ones_like(DENSE), 4, 0, N, ORIGINAL) is None


@pytest.mark.parametrize("kind", ["silent", "weakest", "nearest"])
def test_intruders_are_apart_and_stand_in_each_place_equally_often(kind):
    activations = DENSE if kind == "weakest" else SPARSE
    maxima = activations.max(axis=1)
    near = np.zeros((2, len(maxima)), bool)
    near[:, ::3] = True
    asked = choosing.intruded(maxima, 4, 0, 20, near if kind == "nearest" else None)
    assert asked.negatives == kind
    assert np.bincount(asked.place).tolist() == [4] * 5
    assert len(set(asked.intruder)) == 20
    assert maxima[asked.firing].min() > max(0, maxima[asked.intruder].max())
    assert all(len(set(four)) == 4 for four in asked.firing)
    if kind == "nearest":
        assert not (asked.intruder % 3).any()
    ranks = {fragment: rank for rank, fragment in enumerate(np.argsort(-maxima, kind="stable"))}
    firing = 100 if kind == "weakest" else int((maxima > 0).sum())
    fifths = [set(part) for part in np.array_split(range(firing), 5)]
    for number, four in enumerate(asked.firing):
        assert {ranks[fragment] for fragment in four} <= fifths[number % 5]


def test_hard_negatives_are_taken_from_the_neighbours_in_turn():
    maxima = SPARSE.max(axis=1)
    silent = np.flatnonzero(maxima <= 0)
    near = np.zeros((3, len(maxima)), bool)
    near[0, silent[:4]], near[1, silent[:40]], near[2, silent[40:80]] = True, True, True
    near[:, maxima > 0] = True
    chosen = choosing.whole_texts(maxima, 4, 0, N, ORIGINAL, near)
    assert chosen.negatives == "nearest"
    assert len(set(chosen.negative) & set(silent[:40])) > 4
    assert set(chosen.negative) & set(silent[40:80])
    assert (maxima[chosen.negative] <= 0).all()
    near[1:] = False
    assert choosing.whole_texts(maxima, 4, 0, N, ORIGINAL, near).negatives == "silent"


def test_the_nearest_are_those_of_highest_cosine():
    atoms = np.random.default_rng(0).normal(size=(30, 8))
    features = np.array([4, 0, 29])
    found = neighbours.nearest(atoms, features, 5)
    for feature, near in zip(features, found, strict=True):
        others = [other for other in range(30) if other != feature]
        cosine = {other: atoms[feature] @ atoms[other] / np.linalg.norm(atoms[other]) for other in others}
        assert list(near) == sorted(others, key=lambda other: -cosine[other])[:5]
    assert neighbours.nearest(atoms[:3], np.array([1]), 5).shape == (1, 2)

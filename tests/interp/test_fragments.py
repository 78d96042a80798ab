import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.interp.fragments import choose_features, select, shuffle_positions


def test_ranks_by_maximum():
    maxima = np.random.default_rng(0).permutation(200).astype(np.float32)
    chosen = select(maxima, feature=3, seed=0)
    assert chosen is not None
    assert [199 - maxima[fragment] for fragment in chosen.train] == [0, 4, 8, 12, 16]
    assert [199 - maxima[fragment] for fragment in chosen.top] == [2, 6, 10, 14, 18]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.integers(0, 50))
def test_random_fragments_fire_and_are_not_in_the_top_20(values, seed):
    maxima = np.array(values, np.float32)
    chosen = select(maxima, feature=1, seed=seed)
    if (maxima > 0).sum() < 25:
        assert chosen is None
        return
    top_20 = sorted(range(len(values)), key=lambda index: (-values[index], index))[:20]
    assert list(chosen.train) == top_20[::4]
    assert list(chosen.top) == top_20[2::4]
    assert len(set(chosen.random)) == 5
    assert not set(chosen.random) & set(top_20)
    assert (maxima[chosen.random] > 0).all()


def test_every_other_firing_fragment_can_be_drawn():
    maxima = np.concatenate([np.full(20, 2.0), np.full(10, 1.0), np.zeros(10)])
    drawn = [fragment for seed in range(400) for fragment in select(maxima, 0, seed).random]
    counts = np.bincount(drawn, minlength=40)
    assert set(np.flatnonzero(counts)) == set(range(20, 30))
    assert counts[20:30] == pytest.approx(np.full(10, 200), abs=60)


def test_draws_depend_on_feature_and_seed_alone():
    maxima = np.arange(500, dtype=np.float32)
    first = select(maxima, 7, 0).random
    select(maxima, 8, 0)
    assert list(select(maxima, 7, 0).random) == list(first)
    assert list(select(maxima, 8, 0).random) != list(first)
    assert list(select(maxima, 7, 1).random) != list(first)


@given(st.integers(1, 300), st.integers(1, 400), st.integers(0, 5))
def test_features_are_a_sample_without_repeats_that_can_be_extended(n_feat, wanted, seed):
    sample = choose_features(n_feat, wanted, seed)
    assert len(set(sample)) == len(sample) == min(n_feat, wanted)
    assert set(sample) <= set(range(n_feat))
    assert list(choose_features(n_feat, wanted + 10, seed)[: len(sample)]) == list(sample)


def test_the_sample_is_uniform_and_not_the_first_features():
    drawn = np.concatenate([choose_features(50, 10, seed) for seed in range(1000)])
    assert np.bincount(drawn, minlength=50) == pytest.approx(np.full(50, 200), abs=60)


def test_shuffling_keeps_what_is_in_each_fragment():
    activations = np.random.default_rng(0).random((15, 64)).astype(np.float32)
    shuffled = shuffle_positions(activations, 2, 0)
    assert not np.array_equal(shuffled, activations)
    assert np.array_equal(np.sort(shuffled), np.sort(activations))
    moves = [np.argsort(row) for row in (shuffled[0], shuffled[1])]
    assert not np.array_equal(*moves)


def test_random_draws_do_not_follow_the_order_of_maxima():
    maxima = np.concatenate([np.full(20, 2.0), np.linspace(0.5, 1, 100)])
    turned = np.concatenate([maxima[:20], maxima[:19:-1]])
    assert list(select(maxima, 0, 0).random) == list(select(turned, 0, 0).random)


@given(st.lists(st.integers(0, 6), min_size=1, max_size=80), st.integers(0, 50))
def test_other_modes_draw_from_other_fragments(values, seed):
    maxima = np.array(values, np.float32)
    firing = int((maxima > 0).sum())
    top_20 = sorted(range(len(values)), key=lambda index: (-values[index], index))[:20]
    original, unbiased = (select(maxima, 1, seed, mode) for mode in ("original", "unbiased"))
    assert (original is None) == (firing < 20)
    assert (unbiased is None) == (firing < 20 or len(values) < 25)
    if original is not None:
        assert list(original.train) == top_20[::4]
        assert len(set(original.random)) == 5
        assert (maxima[original.random] > 0).all()
    if unbiased is not None:
        assert list(unbiased.top) == top_20[2::4]
        assert len(set(unbiased.random)) == 5
        assert not set(unbiased.random) & set(top_20)


def test_original_may_draw_what_the_explainer_saw_and_unbiased_what_is_silent():
    maxima = np.concatenate([np.full(20, 2.0), np.full(10, 1.0), np.zeros(10)])
    drawn = {mode: {place for seed in range(200) for place in select(maxima, 0, seed, mode).random}
             for mode in ("original", "unbiased")}  # fmt: skip
    assert drawn == {"original": set(range(30)), "unbiased": set(range(20, 40))}


def test_the_first_features_are_no_sample():
    assert list(choose_features(50, 10, 3, "first")) == list(range(10))
    assert list(choose_features(4, 10, 3, "first")) == list(range(4))

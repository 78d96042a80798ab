"""Runs of 12 words, hashed: how much of a text stands already in other texts."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

WORDS = 12
AT_ONCE = 100_000  # texts that are searched together: a window takes some hundred bytes meanwhile
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, from the golden ratio: a bijection modulo 2**64


def share_seen_before(texts: list[str]) -> NDArray[np.float64]:
    """For each text, the share of its 12-word windows that an earlier text holds, [n_texts], 0 to 1.

    A text of fewer than 12 words is one window.
    """
    hashes, owner = windows(texts)
    order = np.argsort(hashes, kind="stable")  # equal windows side by side, the earliest text first
    is_first = np.diff(hashes[order], prepend=~hashes[order[:1]]) != 0
    first_owner = np.empty_like(owner)
    first_owner[order] = owner[order][is_first][np.cumsum(is_first) - 1]
    return np.bincount(owner, weights=first_owner < owner, minlength=len(texts)) / np.bincount(owner)


def share_in(texts: list[str], others: list[str]) -> float:
    """The share of all 12-word windows of `texts` that stand in `others`: what a split leaks."""
    if not texts or not others:
        return 0.0
    return float(
        np.any([_found(texts, others[i : i + AT_ONCE]) for i in range(0, len(others), AT_ONCE)], axis=0).mean()
    )


def _found(texts: list[str], others: list[str]) -> NDArray[np.bool_]:
    """For each window of `texts`, whether it stands in `others`, [n_windows]."""
    hashes, owner = windows(others + texts)
    mine = owner >= len(others)
    there = np.sort(hashes[~mine])  # sorting and searching is several times faster than np.isin on 64-bit hashes
    place = np.minimum(np.searchsorted(there, hashes[mine]), len(there) - 1)
    return there[place] == hashes[mine]


def windows(texts: list[str]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hash of every window and the index of the text it belongs to, both [n_windows], in text order.

    Hashes of one call can be compared with one another, not with those of another call.
    """
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__  # words are numbered as they appear
    lengths: list[int] = []
    words: list[int] = []
    for text in texts:
        split = text.split() or [""]
        lengths.append(len(split))
        words.extend(map(numbers.__getitem__, split))
    mixed = (np.asarray(words, dtype=np.uint64) + np.uint64(1)) * _MULTIPLIER
    mixed ^= mixed >> np.uint64(31)
    left = _words_left(np.asarray(lengths, dtype=np.int64))
    padded = np.concatenate([mixed, np.zeros(WORDS, np.uint64)])
    hashes = np.zeros(len(mixed), np.uint64)
    for offset in range(WORDS):
        # A word past its text's end counts as nothing, so that a short text is one window of its own.
        hashes ^= np.where(left > offset, padded[offset : offset + len(mixed)], np.uint64(0))
        hashes *= _MULTIPLIER
        hashes ^= hashes >> np.uint64(29)
    owner = np.repeat(np.arange(len(texts)), lengths)
    is_first_word = np.diff(owner, prepend=-1) > 0
    keep = (left >= WORDS) | is_first_word
    return hashes[keep], owner[keep]


def _words_left(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each word, how many words of its text begin with it, itself counted; [n_words]."""
    return np.repeat(np.cumsum(lengths), lengths) - np.arange(lengths.sum())

"""Differences in words."""

import pytest

from sparse_coding.workflow.causes import differences

LONG = list(range(20))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1, "b": 2}, {"a": 3, "b": 2}, ["a: 1 -> 3"]),
        ({"a": {"b": {"c": 0.1}}}, {"a": {"b": {"c": 0.2}}}, ["a.b.c: 0.1 -> 0.2"]),
        ({}, {"a": None}, ["a: nothing -> None"]),
        ({"a": 1}, {}, ["a: 1 -> nothing"]),
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, ["a: [1, 2] -> [1, 2, 3]"]),
        ({"a": LONG}, {"a": [*LONG[1:], 99]}, ["a: added 99; removed 0"]),
        ({"a": LONG}, {"a": LONG[::-1]}, ["a: another order"]),
        ({"a": {"x": 1}}, {"a": 1}, ["a: {'x': 1} -> 1"]),
    ],
)
def test_each_difference_has_its_place_and_both_values(old, new, words):
    assert differences(old, new) == words

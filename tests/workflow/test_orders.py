"""Whether a settings file says what it said when an order was written."""

from pathlib import Path

import pytest

from sparse_coding.workflow import orders


@pytest.fixture
def digest(tmp_path: Path):
    def of_text(text: str) -> str:
        path = tmp_path / "params.yaml"
        path.write_text(text, encoding="utf-8")
        return orders.watch(path)

    return of_text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a: 1:30", "a: 90"),  # one number to YAML 1.1, and text and a number to strict_yaml
        ("a: 010", "a: 8"),
        ("a: yes", "a: true"),
        ("a: 90", "a: '90'"),
        ("a: !!str 90", "a: 90"),
        ("a: [1, 2]", "a: [2, 1]"),
        ("a: {b: 1}", "a: [b, 1]"),
        ("revision: 2024-01-01", "revision: 2024-01-02"),  # dates to YAML 1.1, which are no JSON
        ("a: {2024-01-01: 1}", "a: {}"),
    ],
)
def test_each_change_of_a_value_is_seen(digest, one: str, other: str) -> None:
    assert "" not in (digest(one), digest(other))
    assert digest(one) != digest(other)


def test_comments_and_layout_are_free(digest) -> None:
    assert digest("a:\n  b: 1  # why\n\n# more\nc: [x, y]\n") == digest("{a: {b: 1}, c:  [x,\n y]}") != ""


@pytest.mark.parametrize("text", ["a: [1", "\t- a", "a: *nowhere\n  b"])
def test_what_is_not_yaml_has_no_digest(digest, text: str) -> None:
    assert digest(text) == ""


def test_a_file_that_is_not_there_has_none(tmp_path: Path) -> None:
    assert orders.watch(tmp_path / "params.yaml") == ""

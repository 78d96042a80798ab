import numpy as np
import pytest

from sparse_coding.interp.token_texts import CLASSES, NO_CLASS, TokenTexts, behind, class_of, fold


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (" 12", "digits"), ("٣", "digits"), (",", "punctuation"), (" ->", "punctuation"), ("\n\n", "newline"),
        (".\n", "newline"), (" The", "capitalised"), ("X", "capitalised"), ("URL", "upper-case"), ("the", None),
        ("  ", None), ("", None), ("a1", None), ("\0", "punctuation"),
    ],
)  # fmt: skip
def test_classes(text, name):
    assert class_of(text) == (NO_CLASS if name is None else CLASSES.index(name))


def test_folding_joins_case_and_space_but_keeps_white_space_apart():
    assert fold(" The") == fold("the") == "the"
    assert len({fold(text) for text in (" ", "\n", "\n\n", "\t", "")}) == 5


def test_tokens_with_one_text_are_one():
    texts = TokenTexts([" The", "the", "b", "\0", ""])
    numbers = texts.fold(np.array([[0, 1, 2, 3, 4]]))[0]
    assert numbers[0] == numbers[1] == texts.number("the")
    assert len(set(numbers)) == 4
    assert [texts.texts[number] for number in numbers] == ["the", "the", "b", "\0", ""]


@pytest.mark.parametrize("steps", [1, 3, 8])
@pytest.mark.parametrize("width", [1, 3, 6, 12])
def test_behind(steps, width):
    values = np.random.default_rng(0).integers(0, 9, (4, width))
    expected = [[row[at - steps] if at >= steps else -1 for at in range(width)] for row in values]
    assert behind(values, steps).tolist() == expected

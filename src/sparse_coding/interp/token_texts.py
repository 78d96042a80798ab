"""What a rule can see of a token: its folded text and its class."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

CLASSES = ("newline", "digits", "punctuation", "upper-case", "capitalised")
NO_CLASS = -1
OUTSIDE = -1  # what stands before the first token of a fragment
UNKNOWN = -2  # a text that no token has


class TokenTexts:
    """The tokens of a vocabulary as rules see them; tokens with the same folded text are one."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        folded = [fold(text) for text in vocabulary]
        self.texts = sorted(set(folded))
        self._number = {text: number for number, text in enumerate(self.texts)}
        self._folded = np.array([self._number[text] for text in folded], np.int64)
        self._class = np.array([class_of(text) for text in vocabulary], np.int64)

    def fold(self, tokens: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
        """The folded text of each token, as an index into `texts`."""
        return self._folded[tokens]

    def classes(self, tokens: Int[np.ndarray, "*shape"]) -> Int[np.ndarray, "*shape"]:
        """The class of each token, as an index into CLASSES, or NO_CLASS."""
        return self._class[tokens]

    def number(self, text: str) -> int:
        """The index of a folded text, UNKNOWN where the vocabulary has no such token."""
        return self._number.get(text, UNKNOWN)


def fold(text: str) -> str:
    """`text` without the space around it and without case; white space alone stays as it is."""
    return text.strip().casefold() or text


def class_of(text: str) -> int:
    """The first class that fits, as an index into CLASSES, or NO_CLASS."""
    word = text.strip()
    fits = (
        "\n" in text,
        word.isdigit(),
        bool(word) and not any(letter.isalnum() for letter in word),
        len(word) > 1 and word.isupper(),
        word[:1].isupper(),
    )
    return fits.index(True) if any(fits) else NO_CLASS


def behind(values: Int[np.ndarray, "record token"], steps: int) -> Int[np.ndarray, "record token"]:
    """For each token the value `steps` tokens before it, OUTSIDE where the fragment has not begun."""
    moved = np.full_like(values, OUTSIDE)
    moved[:, steps:] = values[:, : max(0, values.shape[1] - steps)]
    return moved

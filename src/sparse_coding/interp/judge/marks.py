"""Texts as judges see them: JSON strings, with the pieces marked that are asked about."""

from collections.abc import Sequence

from sparse_coding.interp.judge.prompts import quoted

MARKED = 0.3  # share of a fragment's highest activation, above which a token is marked
OPEN, CLOSE = "<<", ">>"


def in_pieces(texts: Sequence[str], marked: set[int]) -> tuple[str, ...]:
    """The text, cut where a run of marked tokens begins and ends; every second piece is marked."""
    pieces = [""]
    for place, text in enumerate(texts):
        if (place in marked) != (len(pieces) % 2 == 0):
            pieces.append("")
        pieces[-1] += text
    return tuple(pieces)


def listed(texts: Sequence[tuple[str, ...]]) -> str:
    """Numbered JSON strings; the marks are put in after quoting, so that no text can hold one."""
    return "\n".join(f"{number}: {with_marks(pieces)}" for number, pieces in enumerate(texts))


def with_marks(pieces: tuple[str, ...]) -> str:
    """One of them."""
    if len(pieces) == 1:
        return quoted(pieces[0])
    # A sign at the edge of a piece would run into the mark.
    inner = [quoted(piece)[1:-1].replace("<", "\\u003c").replace(">", "\\u003e") for piece in pieces]
    return '"' + "".join(f"{OPEN}{text}{CLOSE}" if place % 2 else text for place, text in enumerate(inner)) + '"'

"""Which panels a figure has: what there is nothing to show for is left out, and the others take its room."""

from collections.abc import Sequence

from sparse_coding.figures.curves import Curve
from sparse_coding.figures.frequencies import Frequencies
from sparse_coding.figures.scores import Scores
from sparse_coding.figures.subject import Subject

RECONSTRUCTION, KEPT, SCORES, FREQUENCIES = "reconstruction", "kept", "scores", "frequencies"


def letters(
    subject: Subject, lines: Sequence[Curve], scores: Sequence[Scores], frequencies: Sequence[Frequencies]
) -> dict[str, str]:
    """The letter of each panel that there is, in their order."""
    measure = subject.kept.measure
    there = {
        RECONSTRUCTION: any(line.has("fvu") for line in lines),
        KEPT: measure is not None and any(line.has(measure) for line in lines),
        SCORES: bool(scores),
        FREQUENCIES: bool(frequencies),
    }
    return dict(zip((name for name, is_there in there.items() if is_there), "abcd", strict=False))

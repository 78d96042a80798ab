"""What each scorer measures: its headline in tables, means and figures."""

from dataclasses import dataclass

SCORED = ("ok", "pred_constant")  # statuses with a score


@dataclass(frozen=True)
class Measure:
    """A column of the table. chance: what knowing nothing gives; by_probabilities: the column of the same from them."""

    column: str
    chance: float
    by_probabilities: str | None = None


CORRELATION = Measure("top_and_random", 0.0)
_TOLD_APART = Measure("balanced_accuracy", 0.5, "auc")
BY_SCORER = {
    "token-rules": CORRELATION,
    "simulation": CORRELATION,
    "detection": _TOLD_APART,
    "fuzzing": _TOLD_APART,
    "intruder": Measure("accuracy", 0.2, "expected_accuracy"),
    "embedding": Measure("auc", 0.5),
}

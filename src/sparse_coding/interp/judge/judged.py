"""What language models make of a feature: its row, with what token rules do not have."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sparse_coding.interp.judge.choosing import Negatives
from sparse_coding.interp.scores import FeatureScore


@dataclass(frozen=True)
class JudgedScore(FeatureScore):
    """negatives: what the firing texts were told from. A score that is not defined is None.

    auc: the chance that a text of the first kind is ranked above one of the second, ties half; of a classifier by its
    probabilities, None without them. accuracy: share of intruders found; expected_accuracy: mean probability that was
    given to the right place, None without probabilities.
    """

    negatives: Negatives | None = None
    auc: float | None = None
    accuracy: float | None = None
    expected_accuracy: float | None = None


def cells(score: FeatureScore) -> Mapping[str, Any]:
    """All columns of a row that are about its feature, also of one that nobody was asked about."""
    return asdict(JudgedScore(**asdict(score)))

"""The variants in which stage evaluation measures a dictionary, a row each: the same features with other codes.

No torch. What makes one: core/variants/<name>.py; how figures draw it: figures/variant_looks.py.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sparse_coding import methods
from sparse_coding.errors import BadInput

PLAIN = "plain"  # the dictionary as it is


@dataclass(frozen=True)
class Variant:
    """One of them.

    of: the dictionaries that have it: all trained ones; those whose codes an L1 has shrunk and a threshold may cut;
    `chosen`, all trained ones
    and baselines that keep k codes. Those of a pair of places have no variants. folder: where its file lies in the
    folder of a site's evaluation; None where it has none, as nothing is fitted.
    """

    name: str
    of: Literal["trained", "shrunk", "chosen"]
    folder: str | None

    def is_of(self, kind: str, k: int | None) -> bool:
        """Whether dictionaries of a kind have it; k: of one that keeps so many codes. Raises BadInput as methods.of."""
        about = methods.of(kind)
        if about.pairs:
            return False
        if methods.is_published(kind):
            return (
                self.of != "shrunk"
            )  # by what it was trained, and whether a threshold may cut it, is not known before
        if not about.is_learned:
            return self.of == "chosen" and k is not None
        return self.of != "shrunk" or (about.strength == "l1" and about.cut)

    @property
    def is_fitted(self) -> bool:
        """Whether something of it is fitted on training vectors."""
        return self.folder is not None


_ROWS = (
    Variant("gain_refit", "trained", "gains"),
    Variant("threshold_refit", "shrunk", "thresholds"),
    Variant("matching_pursuit", "chosen", None),
)
BY_NAME = {row.name: row for row in _ROWS}
NAMES = tuple(BY_NAME)
FITTED = tuple(row.name for row in _ROWS if row.is_fitted)


def of(name: str, place: object = "variant") -> Variant:
    """The row of a variant. Raises BadInput, naming `place`, for one that there is not."""
    if name not in BY_NAME:
        raise BadInput(place, repr(name), f"one of {', '.join(BY_NAME)}")
    return BY_NAME[name]


def in_order(names: Iterable[str]) -> tuple[Variant, ...]:
    """The rows of some variants, in the order of this page."""
    wanted = set(names)
    return tuple(row for row in _ROWS if row.name in wanted)

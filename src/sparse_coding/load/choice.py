"""Which of the evaluated dictionaries is meant: of a kind, a ratio and a control, the one with the nearest L0."""

import math
from dataclasses import astuple, dataclass
from numbers import Real
from typing import Any

from sparse_coding import variants
from sparse_coding.errors import BadInput

Row = dict[str, Any]
FACTOR = 2  # how far the L0 of a dictionary may be from the one that was asked for


@dataclass(frozen=True)
class Wish:
    """What is wanted of a dictionary; None leaves it open."""

    site: str | None
    architecture: str | None
    l0: float | None
    ratio: float | None
    control: str | None

    @property
    def is_any(self) -> bool:
        """Whether anything is wanted."""
        return any(each is not None for each in astuple(self))


def check_number(name: str, number: object) -> None:
    """Raise BadInput for what is no number above 0."""
    if number is None:
        return
    is_number = isinstance(number, Real) and not isinstance(number, bool)
    if not is_number or not 0 < float(number) < math.inf:  # type: ignore[arg-type]
        raise BadInput(f"load_dictionary: {name}", repr(number), "a number above 0")


def narrowed(rows: list[Row], site: str, architecture: str, ratio: float | None, control: str | None) -> list[Row]:
    """Those that fit. Raises BadInput, with what there is, where none does."""
    plain = [row for row in rows if row["variant"] == variants.PLAIN and row["control"] == control]
    plain = [row for row in plain if row["tokens"] is None]  # a snapshot is loaded by its path
    if not plain:
        there = dict.fromkeys(row["control"] for row in rows if row["control"] is not None)
        raise BadInput("load_dictionary: control", repr(control), f"one of {', '.join(there)}" if there else "None")
    of_kind = [row for row in plain if row["kind"] == architecture]
    if not of_kind:
        kinds = dict.fromkeys(row["kind"] for row in plain)
        raise BadInput("load_dictionary: architecture", repr(architecture), f"one of {', '.join(kinds)} (at {site})")
    of_ratio = [row for row in of_kind if ratio is None or row["ratio"] == ratio]
    if not of_ratio:
        there = dict.fromkeys("none" if row["ratio"] is None else f"{row['ratio']:g}" for row in of_kind)
        raise BadInput("load_dictionary: ratio", f"{ratio:g}", f"one of {', '.join(there)} ({architecture} at {site})")
    return of_ratio


def nearest(rows: list[Row], l0: float | None) -> Row:
    """The one whose L0 is nearest. Raises BadInput where none is near, or where several are and no L0 is given."""
    there = ", ".join(f"{l0:.1f}" if l0 >= 1 else f"{l0:.2g}" for l0 in sorted(row["l0"] for row in rows))
    if l0 is None:
        if len(rows) > 1:
            raise BadInput("load_dictionary: l0", "none", f"a number: there are dictionaries of L0 {there}")
        return rows[0]
    near = [row for row in rows if row["l0"] <= FACTOR * l0 and l0 <= FACTOR * row["l0"]]
    if not near:
        wanted = f"a number within a factor of {FACTOR} of an L0 that there is: {there}"
        raise BadInput("load_dictionary: l0", f"{l0:g}", wanted)
    return min(near, key=lambda row: abs(row["l0"] - l0))

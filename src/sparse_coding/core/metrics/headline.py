"""Which dictionaries are put forward, in the figure, the table and the closing words: those of a usual L0.

Scores and FVU depend on L0, so dictionaries of different kinds are compared near one: 8 to 16, the same for all. The
L0 is the measured one. It decides what is *shown*; what is scored is decided by settings, before anything is measured.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, get_args

from sparse_coding.params import Architecture

LOW, HIGH = 8.0, 16.0  # L0
NEAR = 2.0  # a factor: what is farther away is not put forward without a word
SAID = f"L0 {LOW:g} to {HIGH:g}"

Row = Mapping[str, Any]
_TRAINED = get_args(Architecture)


def octaves(l0: float | int) -> float:
    """How far `l0` is from the usual range, as a power of two; 0 inside of it."""
    return math.inf if l0 <= 0 else max(math.log2(LOW / l0), math.log2(l0 / HIGH), 0.0)


def is_near(l0: float | int) -> bool:
    """Whether `l0` is within a factor NEAR of the usual range."""
    return octaves(l0) <= math.log2(NEAR)


def nearest(rows: Iterable[Row]) -> Row | None:
    """The row whose `l0` is nearest to the usual range; of several inside of it, the sparsest."""
    # In tenths of an octave: a TopK of k 8 may have a measured L0 of 7.9, and is inside.
    return min(rows, key=lambda row: (round(octaves(row["l0"]), 1), row["l0"]), default=None)


def of_each_kind(rows: Sequence[Row]) -> list[Row]:
    """A row for each trained kind: of each of its ratios the nearest, and of these, if as near, that of lowest FVU."""
    found = []
    for kind in _TRAINED:
        mine = [row for row in rows if row["kind"] == kind and row["fvu"] is not None]
        ratios = dict.fromkeys(row["ratio"] for row in mine)
        chosen = [row for ratio in ratios if (row := nearest(row for row in mine if row["ratio"] == ratio))]
        found += sorted(chosen, key=lambda row: (round(octaves(row["l0"]), 1), row["fvu"]))[:1]
    return found


def advice(rows: Sequence[Row], scored: Collection[str]) -> list[str]:
    """Where no scored dictionary of a kind is near the usual L0: a sentence that says so, and what would change it.

    rows: of the evaluation table, plain ones. scored: names. Empty where nothing is to be said.
    """
    kinds = [kind for kind in _TRAINED if any(row["kind"] == kind for row in rows)]
    lacking = [kind for kind in kinds if not _has_near(rows, kind, scored)]
    trained = [kind for kind in lacking if _has_near(rows, kind)]
    sentences = [_lack(rows, kind, scored) for kind in lacking]
    if trained:
        sentences.append(f"To score one: `{_members(rows)}` in params.yaml.")
    return sentences + [_to_train(rows, kind) for kind in lacking if kind not in trained]


def _has_near(rows: Iterable[Row], kind: str, names: Collection[str] | None = None) -> bool:
    return any(row["kind"] == kind and is_near(row["l0"]) for row in rows if names is None or row["name"] in names)


def _lack(rows: Sequence[Row], kind: str, scored: Collection[str]) -> str:
    mine = nearest(row for row in rows if row["kind"] == kind and row["name"] in scored)
    found = "none was scored" if mine is None else f"nearest: {mine['name']}, L0 {mine['l0']:.3g}"
    return f"No scored {kind} dictionary has an L0 of {LOW / NEAR:g} to {HIGH * NEAR:g} ({found})."


def _members(rows: Sequence[Row]) -> str:
    """The setting that scores a near one of each kind that has one, whether or not one is scored already."""
    kinds = [kind for kind in _TRAINED if _has_near(rows, kind)]
    chosen = {field: _strength(rows, field) for field in ("l1", "k")}
    named = {field: value for field, value in chosen.items() if value is not None}
    if all(_has_near((row for row in rows if row[_field(kind)] == named[_field(kind)]), kind) for kind in kinds):
        return f"autointerp.members: {{{', '.join(f'{field}: {value:g}' for field, value in named.items())}}}"
    return "autointerp.members: all"


def _field(kind: str) -> str:
    return "k" if kind == "topk" else "l1"


def _strength(rows: Sequence[Row], field: str) -> float | int | None:
    """The L1 or k at which most kinds that have one are near, and then nearest."""
    mine = [row for row in rows if row["kind"] in _TRAINED and _field(row["kind"]) == field]

    def badness(value: float | int) -> tuple[int, float]:
        kinds = [kind for kind in _TRAINED if any(row["kind"] == kind for row in mine)]
        at = [[octaves(row["l0"]) for row in mine if row["kind"] == kind and row[field] == value] for kind in kinds]
        apart = [min(each) for each in at if each]
        return sum(each > math.log2(NEAR) for each in apart) - len(apart), sum(apart)

    return min(sorted({row[field] for row in mine}), key=badness, default=None)


def _to_train(rows: Sequence[Row], kind: str) -> str:
    """Which way the grid has to grow: L0 falls as L1 grows."""
    if kind == "topk":
        return f"None was trained: add {LOW:g} to `grid.k`."
    mine = [row for row in rows if row["kind"] == kind]
    dense = [row["l1"] for row in mine if row["l0"] > HIGH]
    sparse = [row["l1"] for row in mine if row["l0"] < LOW]
    if dense and sparse:
        return f"No {kind} one was trained: add a value between {max(dense):g} and {min(sparse):g} to `grid.l1`."
    wanted = f"above {max(dense):g}" if dense else f"below {min(sparse):g}"
    return f"No {kind} one was trained: add a value {wanted} to `grid.l1`."

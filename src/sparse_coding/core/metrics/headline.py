"""Which dictionaries are put forward, in the figure, the table and the closing words: those of a usual L0.

Scores and FVU depend on L0, so dictionaries of different kinds are compared near one: 8 to 16, the same for all. The
L0 is the measured one. It decides what is *shown*; what is scored is decided by settings, before anything is measured.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from sparse_coding import methods
from sparse_coding.methods import Strength

LOW, HIGH = 8.0, 16.0  # L0
NEAR = 2.0  # a factor: what is farther away is not put forward without a word
SAID = f"L0 {LOW:g} to {HIGH:g}"

Row = Mapping[str, Any]


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


def whole(rows: Iterable[Row]) -> list[Row]:
    """The rows without those of controls (core.controls), of which something was held, and without snapshots."""
    return [row for row in rows if row.get("control") is None and row.get("tokens") is None]


def of_each_kind(rows: Sequence[Row]) -> list[Row]:
    """A row for each trained kind: of each of its ratios the nearest, and of these, if as near, that of lowest FVU.

    A broken one is never put forward, nor is a control; a kind that has no other has no row.
    """
    rows, found = whole(rows), []
    for kind in methods.LEARNED:
        mine = [row for row in rows if row["kind"] == kind and row["fvu"] is not None and not row["broken"]]
        ratios = dict.fromkeys(row["ratio"] for row in mine)
        chosen = [row for ratio in ratios if (row := nearest(row for row in mine if row["ratio"] == ratio))]
        found += sorted(chosen, key=lambda row: (round(octaves(row["l0"]), 1), row["fvu"]))[:1]
    return found


def all_broken(rows: Sequence[Row]) -> dict[str, int]:
    """The trained kinds of which each dictionary is broken, and how many these are."""
    found = {kind: [bool(row["broken"]) for row in whole(rows) if row["kind"] == kind] for kind in methods.LEARNED}
    return {kind: len(each) for kind, each in found.items() if each and all(each)}


def advice(rows: Sequence[Row], scored: Collection[str]) -> list[str]:
    """Where no scored dictionary of a kind is near the usual L0: a sentence that says so, and what would change it.

    rows: of the evaluation table, plain ones. scored: names. Empty where nothing is to be said.
    """
    rows = whole(rows)
    there = {row["kind"] for row in rows}
    kinds = [kind for kind in methods.LEARNED if kind in there and not methods.of(kind).dense]  # of these none ever is
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
    kinds = [kind for kind in methods.LEARNED if _has_near(rows, kind)]
    chosen = {strength: _strength(rows, strength) for strength in methods.STRENGTHS}
    named = {field: value for field, value in chosen.items() if value is not None}
    if all(_has_near((row for row in rows if _has_strength(row, kind, named)), kind) for kind in kinds):
        return f"autointerp.members: {{{', '.join(f'{field}: {value:g}' for field, value in named.items())}}}"
    return "autointerp.members: all"


def _has_strength(row: Row, kind: str, named: Mapping[Strength, float | int]) -> bool:
    return row["kind"] == kind and methods.value_of(row) == named.get(methods.strength_of(row))


def _strength(rows: Sequence[Row], strength: Strength) -> float | int | None:
    """The L1, k or wished L0 at which most kinds that have one are near, and then nearest."""
    column = methods.COLUMNS[strength]
    mine = [row for row in rows if methods.is_learned(row["kind"]) and methods.strength_of(row) == strength]

    def badness(value: float | int) -> tuple[int, float]:
        kinds = [kind for kind in methods.LEARNED if any(row["kind"] == kind for row in mine)]
        at = [[octaves(row["l0"]) for row in mine if row["kind"] == kind and row[column] == value] for kind in kinds]
        apart = [min(each) for each in at if each]
        return sum(each > math.log2(NEAR) for each in apart) - len(apart), sum(apart)

    return min(sorted({row[column] for row in mine}), key=badness, default=None)


def _to_train(rows: Sequence[Row], kind: str) -> str:
    """How the grid has to grow; where nothing that it may hold would help, only that none is there."""
    own = [row for row in rows if row["kind"] == kind]
    strength = min((methods.strength_of(row) for row in own), key=list(methods.STRENGTHS).index)
    mine = [row for row in own if methods.strength_of(row) == strength]
    wanted = _penalties(mine) if strength == "l1" else _codes(mine, strength)
    return f"No {kind} one of such L0 was trained{wanted and ': '}{wanted}."


def _penalties(rows: Sequence[Row]) -> str:
    """L0 falls as L1 grows, at each ratio from another height, so each has a range of its own."""
    ratios: dict[str, list[str]] = {}
    for ratio in sorted({row["ratio"] for row in rows}):
        wanted = _range({row["l1"]: row["l0"] for row in rows if row["ratio"] == ratio})
        ratios.setdefault(wanted, []).append(f"r{ratio:g}")
    named = [wanted if len(ratios) == 1 else f"{wanted} ({', '.join(of)})" for wanted, of in ratios.items() if wanted]
    return f"add a value {' or '.join(named)} to `grid.l1`" if named else ""


def _range(l0: Mapping[float | int, float | int]) -> str:
    """Where between or beyond the L1 of one ratio the usual L0 is; empty where it is below an L1 of 0."""
    strengths = sorted(l0)
    for lower, upper in pairwise(strengths):
        if (l0[lower] > HIGH) != (l0[upper] > HIGH):
            return f"between {lower:g} and {upper:g}"
    if l0[strengths[0]] > HIGH:
        return f"above {strengths[-1]:g}"
    return f"below {strengths[0]:g}" if strengths[0] > 0 else ""


def _codes(rows: Sequence[Row], strength: Strength) -> str:
    """A k or a wished L0 of the grid is that of every ratio, and no ratio may have fewer features."""
    most, trained = min(row["n_feat"] for row in rows), {row[methods.COLUMNS[strength]] for row in rows}
    for codes in (LOW, HIGH, HIGH * NEAR, most):
        if is_near(codes) and codes <= most and codes not in trained:
            return f"add {codes:g} to `grid.{strength}`"
    ratio = LOW / rows[0]["d_act"]
    return f"{LOW:g} in `grid.{strength}` takes `grid.ratios` of at least {ratio:g}" if most < LOW else ""

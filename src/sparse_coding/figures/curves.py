"""The lines of panels a and b: what a dictionary keeps of the activations, and of the model, against L0."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_rgb

from sparse_coding import methods, roles, variants
from sparse_coding.figures.records import records
from sparse_coding.figures.style import Look, control_of, look, method
from sparse_coding.figures.variant_looks import LOOKS, is_drawn

# With top-k, which takes signs; random directions are ill-conditioned.
DRAWN_BASELINES = tuple(kind for kind in methods.BASELINES if methods.of(kind).signed and kind != roles.REFERENCE)
ELSEWHERE = ("*", "o", "s", "^", "D", "v", "P", "X")  # markers of those that were trained elsewhere, in turn
MOST_VARIANTS = 16  # more lines of variants than this hide all others; the table has them
LOWEST_L0 = 0.5  # what lies beyond the axes is drawn at their edge and named in the caption
BOUNDS = {"fvu": (0.0, 1.1), "loss_recovered": (-0.2, 1.2), "final_fvu": (0.0, 1.1)}
SHORT = {"fvu": "FVU", "loss_recovered": "loss recovered", "final_fvu": "final FVU"}
_MEASURES = ("l0", *BOUNDS)


@dataclass(frozen=True, eq=False)
class Curve:
    """One line: dictionaries that differ in L1, k or wished L0 only; with lists of both, it has the points of both.
    control: what was held in their training.

    points: a row per L1, k or wish, called as in words, in the order of L0, with l0, fvu, loss_recovered, final_fvu
    and their `_low` and `_high` (95 % intervals), and whether one of its dictionaries is `broken`; the mean over seeds,
    with the widest interval, where there are several.
    """

    kind: str
    ratio: float | None
    variant: str  # `variants.PLAIN` or one of `variants`
    seeds: int
    points: pd.DataFrame
    look: Look
    control: str | None = None
    name: str | None = None  # of one that was trained elsewhere, which is a line of its own

    @property
    def label(self) -> str:
        """Its name in the legend."""
        about = methods.of(self.kind)
        if self.name is not None:
            return f"{self.name} ({about.label})"
        return method(self.kind, self.ratio, self.control) + ("" if about.is_learned else about.variant("k"))

    @property
    def is_plain(self) -> bool:
        """Whether its codes are those of the dictionaries as they are."""
        return self.variant == variants.PLAIN

    @property
    def along(self) -> list[str]:
        """What varies along it, in words."""
        return [
            words for words in methods.STRENGTHS.values() if any(name.startswith(words) for name in self.points.index)
        ]

    @property
    def wished(self) -> bool:
        """Whether a point of it has a wished L0."""
        return methods.STRENGTHS[methods.WISHED] in self.along

    def has(self, measure: str) -> bool:
        """Whether any point has a value of `measure`."""
        return bool(self.points[measure].notna().any())

    def known(self, measure: str) -> pd.DataFrame:
        """The points that have a value of `measure`."""
        return self.points[self.points[measure].notna()]


def curves(evaluation: pd.DataFrame) -> list[Curve]:
    """All lines of a site, from its evaluation table: learned ones, their variants, their controls, top-k baselines.

    Of a control no variant is drawn: its line would be that of a variant of a variant. Where there are more lines of
    variants than MOST_VARIANTS, none of them is.
    """
    learned = evaluation[evaluation["kind"].isin(methods.LEARNED)]
    elsewhere = evaluation[evaluation["kind"].map(methods.is_published).astype(bool)]
    topk = evaluation[evaluation["kind"].isin(DRAWN_BASELINES) & evaluation["k"].notna()]
    topk = topk[topk["variant"] == variants.PLAIN]
    triples = zip(learned["variant"], learned["kind"], learned["control"].isna(), strict=True)
    drawn = [variant == variants.PLAIN or (whole and is_drawn(variant, kind)) for variant, kind, whole in triples]
    learned = learned[drawn]
    groups = ["kind", "ratio", "control", "variant"]
    found = [_curve(rows, learned) for part in (learned, topk) for _, rows in part.groupby(groups, dropna=False)]
    found += [_of_one(rows, place) for place, rows in _each(elsewhere)]
    order, held = (*methods.LEARNED, *DRAWN_BASELINES), (None, *methods.CONTROLS)
    ways = (variants.PLAIN, *LOOKS)

    def place(curve: Curve) -> tuple[float, ...]:
        ratio, control = curve.ratio or 0, held.index(curve.control)
        kind = len(methods.LEARNED) - 0.5 if curve.name is not None else order.index(curve.kind)
        return kind, ratio, control, ways.index(curve.variant)

    lines = sorted(found, key=place)
    plain = [line for line in lines if line.is_plain]
    return lines if len(lines) - len(plain) <= MOST_VARIANTS else plain


def _each(elsewhere: pd.DataFrame) -> Iterator[tuple[int, pd.DataFrame]]:
    """The rows of each dictionary and variant, with the place of the dictionary among them."""
    for place, name in enumerate(elsewhere["name"].unique()):
        own = elsewhere[elsewhere["name"] == name]
        yield from ((place, rows) for _, rows in own.groupby("variant"))


def _of_one(rows: pd.DataFrame, place: int) -> Curve:
    """A dictionary that was trained elsewhere: one point."""
    first: Any = next(rows.itertuples())
    own = Look(to_rgb(methods.of(first.kind).colour), ELSEWHERE[place % len(ELSEWHERE)], "none")
    points = _points(rows, rows["name"])
    return Curve(first.kind, None, first.variant, 1, points, own, name=first.name)


def _curve(rows: pd.DataFrame, learned: pd.DataFrame) -> Curve:
    first: Any = next(rows.itertuples())
    kind, ratio = first.kind, None if pd.isna(first.ratio) else float(first.ratio)
    ratios = [float(value) for value in learned.loc[learned["kind"] == kind, "ratio"].dropna().unique()]
    points = _points(rows, pd.Series([methods.in_words(row) for row in records(rows)], rows.index))
    return Curve(
        kind,
        ratio,
        first.variant,
        int(rows["seed"].nunique()),
        points,
        look(kind, ratio, ratios),
        control_of(first.control),
    )


def _points(rows: pd.DataFrame, names: pd.Series) -> pd.DataFrame:
    """One for each of the names, which are of the rows, in the order of L0."""
    how = {name + end: way for name in _MEASURES for end, way in (("", "mean"), ("_low", "min"), ("_high", "max"))}
    # an evaluation without intervals, or without splicing, gives columns of nothing
    numbers = rows.reindex(columns=list(how)).astype(float).assign(broken=rows["broken"].notna())
    return numbers.groupby(names).agg(how | {"broken": "max"}).sort_values("l0")


def inside(points: pd.DataFrame, measure: str) -> pd.Series:
    """Whether each point lies within what the axes may show."""
    low, high = BOUNDS[measure]
    return (points["l0"] >= LOWEST_L0) & points[measure].between(low, high)


def outside(drawn: Iterable[tuple[Curve, str]]) -> Iterator[str]:
    """Each point beyond the axes, in words."""
    for line, measure in drawn:
        points = line.known(measure)
        for strength, point in points[~inside(points, measure)].iterrows():
            name = line.label if line.name is not None else f"{line.label}, {strength}"
            name += "" if line.is_plain else f" with {LOOKS[line.variant].label}"
            yield f"{name} (L0 {point['l0']:.3g}, {SHORT[measure]} {point[measure]:.4g})"


def shown(lines: Iterable[Curve], measure: str | None) -> list[tuple[Curve, str]]:
    """Which line is drawn with which column: FVU in a, and in b, where there is one, `measure`, variants too."""
    lines = list(lines)
    upper = [(line, "fvu") for line in lines if line.is_plain]
    return upper + ([] if measure is None else [(line, measure) for line in lines])


def l0_limits(drawn: Iterable[tuple[Curve, str]]) -> tuple[float, float]:
    """The ends of the L0 axis: all points and their intervals, and at least a factor of 4."""
    values, beyond = [], False
    for line, measure in drawn:
        points = line.known(measure)
        beyond |= bool((points["l0"] < LOWEST_L0).any())
        values += list(points.loc[inside(points, measure), ["l0", "l0_low", "l0_high"]].to_numpy().ravel())
    values = [value for value in values if np.isfinite(value)]
    low = LOWEST_L0 if beyond else max(min(values, default=1.0), LOWEST_L0) / 1.15
    high = max(values, default=64.0) * 1.15
    wider = max(1.0, 4 * low / high)
    return (low, high * wider) if beyond else (low / wider**0.5, high * wider**0.5)


def limits(lines: Iterable[Curve], measure: str, also: Iterable[float] = ()) -> tuple[float, float]:
    """The ends of an upright axis: all points with their intervals, cut to its bounds, `also`, and some room."""
    bounds, values = BOUNDS[measure], list(also)
    for line in lines:
        points = line.known(measure)
        mine = points[[measure, f"{measure}_low", f"{measure}_high"]].to_numpy().ravel().clip(*bounds)
        values += [value for value in mine if np.isfinite(value)]
    low, high = min(values, default=bounds[0]), max(values, default=bounds[1])
    room = 0.04 * max(high - low, 0.1)
    return float(low - room), float(high + room)

"""Panels a and b: what a dictionary keeps of the activations, and of the model's loss, against L0."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from sparse_coding.figures.style import LEARNED, SMALL, Look, look, method

DRAWN_BASELINES = ("pca", "ica", "neuron_basis")  # with top-k: random directions are ill-conditioned, NMF is dense
LOWEST_RECOVERED, HIGHEST_FVU = -0.2, 1.1  # what lies beyond is counted in the caption
_MEASURES = ("l0", "fvu", "loss_recovered")


@dataclass(frozen=True, eq=False)
class Curve:
    """One line: dictionaries that differ in L1 or k only.

    points: a row per L1 or k in the order of L0, with l0, fvu, loss_recovered and their `_low`, `_high`
    (95 % intervals); the mean over seeds, with the widest interval, where there are several.
    """

    kind: str
    ratio: float | None
    refit: bool
    seeds: int
    points: pd.DataFrame
    look: Look

    @property
    def label(self) -> str:
        """Its name in the legend."""
        return method(self.kind, self.ratio) + ("" if self.kind in LEARNED else " top-k")


def curves(evaluation: pd.DataFrame) -> list[Curve]:
    """All lines of a site, from its evaluation table: learned ones, their gain refit, top-k baselines."""
    learned = evaluation[evaluation["kind"].isin(LEARNED)]
    topk = evaluation[evaluation["kind"].isin(DRAWN_BASELINES) & evaluation["k"].notna()]
    topk = topk[topk["variant"] == "plain"]
    # TopK has no L1 and so no shrinkage for a gain to undo.
    learned = learned[(learned["variant"] == "plain") | (learned["kind"] != "topk")]
    groups = ["kind", "ratio", "variant"]
    found = [_curve(rows, learned) for part in (learned, topk) for _, rows in part.groupby(groups, dropna=False)]
    order = (*LEARNED, *DRAWN_BASELINES)
    drawn = [curve for curve in found if len(curve.points)]
    return sorted(drawn, key=lambda curve: (order.index(curve.kind), curve.ratio or 0, curve.refit))


def _curve(rows: pd.DataFrame, learned: pd.DataFrame) -> Curve:
    first: Any = next(rows.itertuples())
    kind, ratio = first.kind, None if pd.isna(first.ratio) else float(first.ratio)
    ratios = [float(value) for value in learned.loc[learned["kind"] == kind, "ratio"].dropna().unique()]
    how = {name + end: way for name in _MEASURES for end, way in (("", "mean"), ("_low", "min"), ("_high", "max"))}
    # an evaluation without intervals, or without splicing, gives columns of nothing
    numbers = rows.reindex(columns=list(how)).astype(float)
    strength = rows["l1"].astype(float).fillna(rows["k"].astype(float))
    points = numbers.groupby(strength).agg(how)
    points = points[points["l0"] > 0].sort_values("l0")  # a dictionary that is all dead has no place on a log axis
    seeds = int(rows["seed"].nunique())
    return Curve(kind, ratio, first.variant == "gain_refit", seeds, points, look(kind, ratio, ratios))


def crossing(curve: Curve, reference: Curve) -> float | None:
    """The L0 from which on `reference` has the lower FVU; None where it has not at the end of the shared range.

    Both are taken as straight between their points, over log L0.
    """
    (x, y), (x_reference, y_reference) = _log_l0_and_fvu(curve), _log_l0_and_fvu(reference)
    if not len(x) or not len(x_reference):
        return None
    start, end = max(x[0], x_reference[0]), min(x[-1], x_reference[-1])
    if start > end:
        return None
    knots = np.unique(np.concatenate([x, x_reference, [start, end]]).clip(start, end))
    excess = np.interp(knots, x, y) - np.interp(knots, x_reference, y_reference)
    if excess[-1] <= 0:
        return None
    below = np.flatnonzero(excess <= 0)
    if not len(below):
        return float(np.exp(start))
    last = below[-1]
    share = excess[last] / (excess[last] - excess[last + 1])
    return float(np.exp(knots[last] + share * (knots[last + 1] - knots[last])))


def _log_l0_and_fvu(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    points = curve.points.dropna(subset=["fvu"])
    return np.log(points["l0"].to_numpy()), points["fvu"].to_numpy()


def pca_crossings(lines: list[Curve]) -> dict[str, float | None]:
    """For each learned line without refit: the L0 above which PCA top-k has the lower FVU. Empty without PCA."""
    pca = next((line for line in lines if line.kind == "pca"), None)
    if pca is None:
        return {}
    return {line.label: crossing(line, pca) for line in lines if line.kind in LEARNED and not line.refit}


def draw(axes: Axes, lines: list[Curve], measure: str) -> None:
    """Draw `measure` (fvu or loss_recovered) of all lines against L0, 95 % intervals as thin bars."""
    for line in lines:
        points = line.points.dropna(subset=[measure])
        x, y = points["l0"].to_numpy(), points[measure].to_numpy()
        if not len(x):
            continue
        axes.plot(x, y, **line_format(line))
        axes.errorbar(
            x,
            y,
            xerr=_spread(points, "l0"),
            yerr=_spread(points, measure),
            fmt="none",
            ecolor=line.look.colour,
            elinewidth=0.9,
            alpha=0.7,
        )
    log_l0(axes)


def _spread(points: pd.DataFrame, name: str) -> np.ndarray:
    """Lengths below and above each point, as errorbar wants them."""
    below = points[name] - points[f"{name}_low"]
    return np.stack([below, points[f"{name}_high"] - points[name]]).clip(min=0)


def line_format(line: Curve) -> dict:
    """How a line is drawn, here and in the legend: the gain refit is dotted with open markers."""
    learned = line.kind in LEARNED
    return {
        "color": line.look.colour,
        "marker": line.look.marker,
        "linestyle": (0, (1, 1.2)) if line.refit else line.look.dashes,
        "markersize": 5.5 if learned else 5,
        "markerfacecolor": "white" if line.refit else line.look.colour,
        "markeredgecolor": "white" if learned and not line.refit else line.look.colour,
        "markeredgewidth": 1.0 if line.refit else 0.5,
        "linewidth": 1.2 if line.refit else (1.9 if learned else 1.5),
        "zorder": 3 if learned else 2.5,
    }


def log_l0(axes: Axes) -> None:
    """Make L0 the x axis, on a log scale with ticks at powers of two."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(base=2, numticks=20))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def legend_handles(lines: list[Curve]) -> list[Line2D]:
    """One handle a method; the gain refit, which repeats their colours, has one for all."""
    handles = [Line2D([], [], label=line.label, **line_format(line)) for line in lines if not line.refit]
    refits = [line for line in lines if line.refit]
    if refits:
        form = line_format(refits[0]) | {"color": "#444444", "markeredgecolor": "#444444"}
        handles.append(Line2D([], [], label="with gain refit (b)", **form))
    return handles


def mark_crossings(axes: Axes, lines: list[Curve]) -> None:
    """Shade, from the first L1 line's crossing to the last one's, where PCA takes over."""
    l1_labels = {line.label for line in lines if line.kind in ("tied", "untied")}
    places = [place for label, place in pca_crossings(lines).items() if label in l1_labels and place is not None]
    if not places:
        return
    axes.axvspan(min(places), max(places) * 1.01, color="#dddddd", alpha=0.6, linewidth=0, zorder=0)
    axes.annotate(
        "PCA better\nthan L1 →",
        (max(places), 0.98),
        xycoords=("data", "axes fraction"),
        xytext=(3, 0),
        textcoords="offset points",
        va="top",
        fontsize=SMALL,
        color="#444444",
    )

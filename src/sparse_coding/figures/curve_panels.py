"""Panels a and b as they are drawn, and their legend."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.markers import CARETDOWN, CARETLEFT, CARETUP
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from sparse_coding import methods
from sparse_coding.figures import crossings, layout
from sparse_coding.figures.curves import BOUNDS, LOWEST_L0, Curve, inside, limits
from sparse_coding.figures.style import DARK, SMALL, TEXT, greyed
from sparse_coding.figures.subject import Kept
from sparse_coding.figures.variant_looks import LOOKS

MOST_TICKS = 8
L0_LABEL = "L0 (mean number of features active on a token, log scale)"
_NOTE: Any = {"textcoords": "offset points", "va": "top", "fontsize": SMALL, "color": DARK}
_BROKEN: Any = {"marker": "x", "color": "black", "markersize": 7, "markeredgewidth": 1.4, "linestyle": "none"}


def reconstruction(axes: Axes, lines: list[Curve], l0: tuple[float, float], whole_map: float | None = None) -> None:
    """FVU of the activations; whole_map: of a pair of places, that of a linear map."""
    plain = [line for line in lines if line.is_plain]
    level = [whole_map] if whole_map is not None and whole_map <= BOUNDS["fvu"][1] else []
    _frame(axes, "FVU (fraction of variance unexplained)", l0, limits(plain, "fvu", also=[0.0, *level]))
    _draw(axes, plain, "fvu")
    for each in level:
        _level(axes, each, "the whole linear map")
    _mark_crossings(axes, plain)


def loss_recovered(axes: Axes, lines: list[Curve], l0: tuple[float, float], kept: Kept) -> None:
    """The share of the loss that comes back, and what it is in nats."""
    _frame(axes, "loss recovered (against mean ablation)", l0, limits(lines, "loss_recovered", also=[1.0]))
    _draw(axes, lines, "loss_recovered")
    _level(axes, 1, "the model as it is")
    nats = axes.secondary_yaxis("right", functions=_share_to_nats(kept))
    predicted = "masked token" if kept.is_masked else "token"
    nats.set_ylabel(f"cross-entropy of the spliced\nmodel (nats / {predicted})")
    nats.spines["right"].set_visible(True)


def final_states(axes: Axes, lines: list[Curve], l0: tuple[float, float], kept: Kept) -> None:
    """What the final hidden states lose, of a model without a loss: it has no head, or no mask token."""
    ablated = kept.final_ablated
    shown = [ablated] if ablated is not None and ablated <= BOUNDS["final_fvu"][1] else []
    _frame(axes, "FVU of the final hidden states", l0, limits(lines, "final_fvu", also=[0.0, *shown]))
    _draw(axes, lines, "final_fvu")
    for level in shown:
        _level(axes, level, "this site at its mean")


def _frame(axes: Axes, label: str, l0: tuple[float, float], ends: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_xlim(*l0)
    axes.set_ylim(*ends)
    powers = range(int(np.ceil(np.log2(l0[0]) - 1e-9)), int(np.floor(np.log2(l0[1]) + 1e-9)) + 1)
    step = -(-len(powers) // MOST_TICKS)
    axes.xaxis.set_major_locator(FixedLocator([2.0**power for power in powers if power % step == 0]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_ylabel("\n".join(layout.wrap(label, axes.bbox.height / axes.figure.dpi, TEXT)))


def _draw(axes: Axes, lines: Sequence[Curve], measure: str) -> None:
    """All lines against L0, 95 % intervals as thin bars; what lies beyond the axes as a caret at their edge."""
    for line in lines:
        points = line.known(measure)
        within = inside(points, measure)
        axes.plot(points["l0"].where(within), points[measure].where(within), **line_format(line))
        _bars(axes, points[within], line, measure)
        for point in points[~within].to_dict("records"):
            _at_the_edge(axes, point["l0"], point[measure], line, measure)
        broken = points[within & points["broken"]]
        axes.plot(broken["l0"], broken[measure], zorder=6, **_BROKEN)


def _bars(axes: Axes, points: pd.DataFrame, line: Curve, measure: str) -> None:
    def spread(name: str, ends: tuple[float, float]) -> np.ndarray:
        """Lengths below and above each point, as errorbar wants them."""
        low, high = (points[f"{name}_{end}"].clip(*ends) for end in ("low", "high"))
        return np.stack([points[name] - low, high - points[name]]).clip(min=0)

    axes.errorbar(
        points["l0"],
        points[measure],
        xerr=spread("l0", axes.get_xlim()),
        yerr=spread(measure, axes.get_ylim()),
        fmt="none",
        ecolor=line_format(line)["color"],
        elinewidth=0.9,
        alpha=0.7,
    )


def _at_the_edge(axes: Axes, l0: float, value: float, line: Curve, measure: str) -> None:
    low, high = BOUNDS[measure]
    marker = CARETUP if value > high else CARETDOWN if value < low else CARETLEFT
    x = axes.get_xlim()[0] if l0 < LOWEST_L0 else l0
    y = float(np.clip(value, *axes.get_ylim()))
    y = axes.get_ylim()[1] if marker == CARETUP else axes.get_ylim()[0] if marker == CARETDOWN else y
    form: Any = {"color": line.look.colour, "markersize": 8}
    if line.control is not None or not line.is_plain:  # open, as within the axes; a variant around what it is of
        own = line_format(line)
        form = {name: own[name] for name in ("color", "markeredgecolor", "markeredgewidth")}
        form |= {"markerfacecolor": "none", "markersize": 11 if line.control is None else 7}
    axes.plot([x], [y], marker=marker, linestyle="none", clip_on=False, zorder=7, **form)


def _level(axes: Axes, value: float, words: str) -> None:
    axes.axhline(value, color=DARK, linewidth=0.8)
    axes.annotate(words, (0.02, value), xycoords=axes.get_yaxis_transform(), xytext=(0, -3), **_NOTE)


def _share_to_nats(kept: Kept) -> Any:
    """From loss recovered to cross-entropy, and back."""
    clean, ablated = kept.ce_clean or 0.0, kept.ce_ablated or 0.0  # there is a loss
    span = ablated - clean
    return lambda share: ablated - share * span, lambda ce: (ablated - ce) / span


def _mark_crossings(axes: Axes, lines: list[Curve]) -> None:
    """Shade, from the first L1 line's crossing to the last one's, where PCA takes over."""
    places = crossings.of_l1(lines)
    if not places:
        return
    first, last = min(places), max(places)
    axes.axvspan(first, max(last, first * 1.04), color="#dddddd", alpha=0.6, linewidth=0, zorder=0)
    low, high = axes.get_xlim()
    is_right = np.log(last / low) > 0.7 * np.log(high / low)
    axes.annotate(
        "PCA better\nthan L1 →",
        (first if is_right else last, 0.98),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if is_right else 3, 0),
        ha="right" if is_right else "left",
        **_NOTE,
    )


def line_format(line: Curve) -> dict:
    """How a line is drawn, here and in the legend: a variant has dashes of its own and open markers; controls thin."""
    if line.control is not None:
        return _of_control(line)
    if line.name is not None:
        return _of_elsewhere(line)
    learned, plain = methods.is_learned(line.kind), line.is_plain
    return {
        "color": line.look.colour,
        "marker": line.look.marker,
        "linestyle": line.look.dashes if plain else LOOKS[line.variant].dashes,
        "markersize": 8 if line.look.marker[0] in "$*" else 5.5 if learned else 5,  # stars, signs of a font are small
        "markerfacecolor": line.look.colour if plain else "white",
        "markeredgecolor": "white" if learned and plain else line.look.colour,
        "markeredgewidth": 0.5 if plain else 1.0,
        "linewidth": (1.9 if learned else 1.5) if plain else 1.2,
        "zorder": 3 if learned else 2.5,
    }


def _of_elsewhere(line: Curve) -> dict:
    """One point, with a black edge: yellow alone is lost on white. A variant of it is open."""
    return {
        "color": "#6b6400",  # of its interval, which is thin: a dark yellow
        "marker": line.look.marker,
        "linestyle": "none",
        "markersize": 11 if line.look.marker == "*" else 7.5,
        "markerfacecolor": line.look.colour if line.is_plain else "white",
        "markeredgecolor": "black",
        "markeredgewidth": 1.0,
        "zorder": 5,
    }


def _of_control(line: Curve) -> dict:
    """Greyish beside the line of its kind, with a dash pattern a control."""
    colour = greyed(line.look.colour)
    place = list(methods.CONTROLS).index(line.control)  # type: ignore[arg-type]
    return {
        "color": colour,
        "marker": line.look.marker,
        "linestyle": (0, (1, 1.5 + place)),
        "markersize": 4,
        "markerfacecolor": "white",
        "markeredgecolor": colour,
        "markeredgewidth": 0.8,
        "linewidth": 1.0,
        "zorder": 2.2,
    }


def legend_handles(drawn: Sequence[tuple[Curve, str]], kept_letter: str | None) -> list[Line2D]:
    """One handle a method; a variant, which repeats their colours, has one for all, with the letter of its panel.

    drawn: what `curves.shown` gives. Marks of broken dictionaries and of points beyond the axes, where there are any.
    """
    lines = list(dict.fromkeys(line for line, _ in drawn))
    handles = [Line2D([], [], label=line.label, **line_format(line)) for line in lines if line.is_plain]
    for name, row in LOOKS.items():
        first = next((line for line in lines if line.variant == name), None)
        if first is not None:
            form = line_format(first) | {"color": DARK, "markeredgecolor": DARK}
            handles.append(Line2D([], [], label=f"with {row.label} ({kept_letter})", **form))
    points = [(line.known(measure), measure) for line, measure in drawn]
    if any((inside(known, measure) & known["broken"]).any() for known, measure in points):
        elsewhere = any(line.name is not None and line.points["broken"].any() for line in lines)
        what = "broken, or not of this site" if elsewhere else "broken"
        handles.append(Line2D([], [], label=f"{what} (see below)", **_BROKEN))
    if any((~inside(known, measure)).any() for known, measure in points):
        beyond: Any = {"marker": CARETUP, "color": DARK, "linestyle": "none", "markersize": 8}
        handles.append(Line2D([], [], label="beyond the axes (see below)", **beyond))
    return handles

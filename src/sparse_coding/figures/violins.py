"""Rows of horizontal violins with their numbers beside them, as panels c and d have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from sparse_coding.figures.style import SMALL, Look

BAND = "#f1eee6"  # behind controls
HEADER = 0.75  # height of a group's heading, in rows


@dataclass(frozen=True, eq=False)
class Row:
    """values: what the violin shows; centre, low, high: the dot and bar over it; cells: the columns at the right."""

    label: str
    group: str
    look: Look
    values: np.ndarray
    centre: float
    low: float
    high: float
    cells: tuple[str, ...]
    control: bool = False


def height(rows: Sequence[Row]) -> float:
    """The height of a panel, in rows, with its headings."""
    return len(rows) + HEADER * len({row.group for row in rows if row.group})


def draw(axes: Axes, rows: Sequence[Row], heads: Sequence[str], columns: Sequence[float]) -> None:
    """Draw rows from top to bottom; `columns` are the right edges of the cells, in inches right of the axes."""
    if not rows:
        axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center")
        axes.set_yticks([])
        return
    places = _places(rows)
    _violins(axes, rows, places)
    for row, place in zip(rows, places, strict=True):
        axes.plot([row.low, row.high], [place, place], color="black", linewidth=2.6, solid_capstyle="butt", zorder=4)
        axes.plot([row.centre], [place], "o", color="white", markeredgecolor="black", markersize=5, zorder=5)
        for text, column in zip(row.cells, columns, strict=True):
            _beside(axes, text, place, column)
    for text, column in zip(heads, columns, strict=True):
        _beside(axes, text, places[0] - 0.8, column, color="#444444")
    axes.set_yticks(places, [row.label for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_ylabel("")
    axes.set_ylim(height(rows) - 0.5, -0.5)


def _places(rows: Sequence[Row]) -> list[float]:
    places, group, place = [], "", 0.0
    for row in rows:
        place += HEADER if row.group != group else 0
        group = row.group
        places.append(place)
        place += 1
    return places


def _violins(axes: Axes, rows: Sequence[Row], places: Sequence[float]) -> None:
    for row, place in zip(rows, places, strict=True):
        if not len(row.values):
            continue
        before = len(axes.collections)
        sns.violinplot(
            data=pd.DataFrame({"value": row.values, "place": place}),
            x="value",
            y="place",
            orient="y",
            native_scale=True,
            color=row.look.colour,
            saturation=1,
            inner=None,
            cut=0,
            width=0.84,
            linewidth=0.8,
            linecolor="#333333",
            ax=axes,
        )
        for body in axes.collections[before:]:
            body.set_alpha(0.75)
            if row.control:
                body.set(facecolor="white", hatch="////", alpha=1)


def headings(axes: Axes, rows: Sequence[Row]) -> None:
    """Name each group above its first row, and set the controls apart by a band."""
    places = _places(rows)
    for group in dict.fromkeys(row.group for row in rows if row.group):
        mine = [place for row, place in zip(rows, places, strict=True) if row.group == group]
        _beside(axes, group, mine[0] - 0.8, -6 / 72, right_of_axes=False, fontweight="bold")
        if any(row.control for row in rows if row.group == group):
            axes.axhspan(mine[0] - 0.5, mine[-1] + 0.5, color=BAND, zorder=0, linewidth=0)


def _beside(axes: Axes, text: str, place: float, inches: float, right_of_axes: bool = True, **how: Any) -> None:
    """Text in row `place`, its right end `inches` from the right (or left) edge of the axes."""
    axes.annotate(
        text,
        (1 if right_of_axes else 0, place),
        xycoords=axes.get_yaxis_transform(),
        xytext=(inches * 72, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=SMALL,
        annotation_clip=False,
        **how,
    )

"""Rows of horizontal violins with their numbers beside them, as panels c and d have them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from sparse_coding.figures import layout
from sparse_coding.figures.style import DARK, GREY, SMALL, Look

BAND = "#f1eee6"  # behind controls
ROW = 0.37  # inches a row of one or two lines takes at least
HEADER = 0.75  # height of a group's heading, in rows
LINE, BETWEEN = 0.152, 0.06  # inches: a line of a label; between labels
HIGHEST = 0.45  # inches: a violin, however much room there is
COLUMN_GAP = 0.17  # inches, left of each column of numbers
LEAST_ROWS = 3.0


@dataclass(frozen=True, eq=False)
class Row:
    """values: what the violin shows; centre, low, high: the dot and bar over it; cells: the columns at the right.

    hatched: a control. doubt: why the row is greyed, in few words; empty where it is not.
    """

    label: str
    group: str
    look: Look
    values: np.ndarray
    centre: float
    low: float
    high: float
    cells: tuple[str, ...]
    hatched: bool = False
    doubt: str = ""


@dataclass(frozen=True, eq=False)
class Violins:
    """Rows from top to bottom; heads: over the columns of numbers."""

    rows: Sequence[Row]
    heads: tuple[str, ...]

    def labels(self, inches: float) -> list[str]:
        """What stands left of each row, in lines of at most `inches`."""
        return ["\n".join(_lines(row, inches)) for row in self.rows]

    def heights(self, inches: float) -> list[float]:
        """The height of each row, in rows of ROW inches, with labels of at most `inches`."""
        return [max(1.0, (LINE * len(_lines(row, inches)) + BETWEEN) / ROW) for row in self.rows]

    def height(self, inches: float) -> float:
        """The height of the panel, in rows, with its headings."""
        groups = {row.group for row in self.rows if row.group}
        return max(LEAST_ROWS, sum(self.heights(inches)) + HEADER * len(groups))

    @property
    def label_width(self) -> float:
        """Inches that the widest label or heading wants."""
        labels = [layout.width(line) for row in self.rows for line in _lines(row, np.inf)]
        return max([*labels, *(layout.width(row.group, bold=True) for row in self.rows)])

    @property
    def columns(self) -> list[float]:
        """The right edge of each column of numbers, in inches right of the axes."""
        texts = [(head, *(row.cells[place] for row in self.rows)) for place, head in enumerate(self.heads)]
        return list(np.cumsum([COLUMN_GAP + max(map(layout.width, column)) for column in texts]))


def _lines(row: Row, inches: float) -> list[str]:
    whole = [*row.label.split("\n"), *([row.doubt] if row.doubt else [])]
    return [line for part in whole for line in layout.wrap_list(part, inches)]


def draw(axes: Axes, panel: Violins, label_width: float, high: float) -> None:
    """Draw `panel` into axes that are `high` inches high, labels of at most `label_width` inches left of them."""
    rows, heights = panel.rows, panel.heights(label_width)
    places, total = _places(rows, heights)
    widest = min(0.84, HIGHEST * total / high)
    for row, place in zip(rows, places, strict=True):
        _violin(axes, row, place, widest)
        axes.plot([row.low, row.high], [place, place], color="black", linewidth=2.6, solid_capstyle="butt", zorder=4)
        axes.plot([row.centre], [place], "o", color="white", markeredgecolor="black", markersize=5, zorder=5)
        for text, column in zip(row.cells, panel.columns, strict=True):
            _beside(axes, text, place, column)
    for text, column in zip(panel.heads, panel.columns, strict=True):
        how: Any = {"xytext": (column * layout.POINTS, 4), "textcoords": "offset points", "ha": "right"}
        axes.annotate(text, (1, 1), xycoords="axes fraction", fontsize=SMALL, color=DARK, **how)
    _headings(axes, rows, places, heights)
    axes.set_yticks(places, panel.labels(label_width))
    for label, row in zip(axes.get_yticklabels(), rows, strict=True):
        label.set_color("#777777" if row.doubt else "black")
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("")
    axes.set_ylabel("")
    axes.set_ylim(total, 0)


def _places(rows: Sequence[Row], heights: Sequence[float]) -> tuple[list[float], float]:
    """The middle of each row, and where the last one ends."""
    places, group, end = [], "", 0.0
    for row, height in zip(rows, heights, strict=True):
        end += HEADER if row.group != group else 0
        group = row.group
        places.append(end + height / 2)
        end += height
    return places, end


def _violin(axes: Axes, row: Row, place: float, widest: float) -> None:
    if len(set(row.values)) < 2:  # no density: the dot says all
        return
    before = len(axes.collections)
    sns.violinplot(
        data=pd.DataFrame({"value": row.values, "place": place}),
        x="value",
        y="place",
        orient="y",
        native_scale=True,
        color=GREY if row.doubt else row.look.colour,
        saturation=1,
        inner=None,
        cut=0,
        width=widest,
        linewidth=0.8,
        linecolor="#333333",
        ax=axes,
    )
    for body in axes.collections[before:]:
        body.set_alpha(0.75)
        if row.hatched:
            body.set(facecolor="white", hatch="////", alpha=1)


def _headings(axes: Axes, rows: Sequence[Row], places: Sequence[float], heights: Sequence[float]) -> None:
    """Name each group above its first row, and set the controls apart by a band."""
    for group in dict.fromkeys(row.group for row in rows if row.group):
        mine = [
            (place - height / 2, place + height / 2)
            for row, place, height in zip(rows, places, heights, strict=True)
            if row.group == group
        ]
        _beside(axes, group, mine[0][0] - HEADER / 2, -6 / layout.POINTS, right_of_axes=False, fontweight="bold")
        if group == "controls":
            axes.axhspan(mine[0][0], mine[-1][1], color=BAND, zorder=0, linewidth=0)


def _beside(axes: Axes, text: str, place: float, inches: float, right_of_axes: bool = True, **how: Any) -> None:
    """Text in row `place`, its right end `inches` from the right (or left) edge of the axes."""
    axes.annotate(
        text,
        (1 if right_of_axes else 0, place),
        xycoords=axes.get_yaxis_transform(),
        xytext=(inches * layout.POINTS, 0),
        textcoords="offset points",
        ha="right",
        va="center",
        fontsize=SMALL,
        annotation_clip=False,
        **how,
    )

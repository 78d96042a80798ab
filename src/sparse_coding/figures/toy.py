"""The figure of the toy: four heat maps, L1 across and size of the dictionary down, a row of them for each condition.

    MMCS with the truth | dead features | FVU | MMCS with the next larger dictionary

Cells are means over seeds. Sizes are in inches at `style.DESIGN_WIDTH`.
"""

import textwrap
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from sparse_coding.figures import style
from sparse_coding.figures.style import DESIGN_WIDTH, LARGE, SMALL

PALETTE = "viridis"  # sequential, safe for colour-blind readers, and monotonic in grey
BEST = "#D55E00"
LEFT, RIGHT, GAP = 1.12, 0.2, 0.3
TOP, ROW, BETWEEN = 0.98, 0.25, 0.3  # above the first maps; height of a size; between conditions
LABELS, BAR = 0.92, 0.13  # below the last maps: L1 and its name; height of a colour bar
CAPTION_LINE, CAPTION_LETTERS = 0.155, 178
MAY_WRITE = 0.2  # inch: cells that are narrower have no number
WIDTH = (DESIGN_WIDTH - LEFT - RIGHT - 3 * GAP) / 4


@dataclass(frozen=True)
class HeatMap:
    """A column of the table as a heat map; `log`: the colours go by its logarithm."""

    column: str
    title: str
    unit: str
    log: bool = False

    def norm(self, values: pd.Series) -> Normalize:
        """The colours of all conditions: from 0 to 1, or from the least value to 1."""
        if not self.log:
            return Normalize(0, 1)
        positive = values[values > 0]
        return LogNorm(min(float(positive.min()) if len(positive) else 0.1, 0.1), 1)


PANELS = (
    HeatMap("mmcs", "(a) MMCS with the truth", "mean max cosine similarity"),
    HeatMap("dead_share", "(b) Dead features", "share of learned features"),
    HeatMap("fvu", "(c) Reconstruction", "FVU (share of variance, log scale)", log=True),
    HeatMap("mmcs_larger", "(d) MMCS with the next larger", "mean max cosine similarity"),
)
X_LABELS = {"per_feature": "L1 (per feature, log scale)", "sum": "L1 (on the sum of codes, log scale)"}


def means(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a cell: numbers of the table, as means over seeds."""
    numbers = [panel.column for panel in PANELS] + ["l0"]
    return rows.groupby(["condition", "ratio", "l1"], sort=False)[numbers].mean().reset_index()


def best(cells: pd.DataFrame, condition: str) -> pd.Series:
    """The cell of a condition that is most like the truth."""
    own = cells[cells["condition"] == condition]
    return own.iloc[int(own["mmcs"].argmax())]


def figure(rows: pd.DataFrame, title: str, caption: str) -> Figure:
    """Draw the table `rows` of the toy. Nothing of pyplot's is touched."""
    cells = means(rows)
    conditions = list(dict.fromkeys(cells["condition"]))
    wrapped = [line for part in caption.split("\n") for line in textwrap.wrap(part, CAPTION_LETTERS)]
    map_height = ROW * cells["ratio"].nunique()
    maps = len(conditions) * (map_height + BETWEEN) - BETWEEN
    height = TOP + maps + LABELS + BAR + 0.58 + CAPTION_LINE * len(wrapped) + 0.15
    with mpl.rc_context(style.RC | {"axes.grid": False, "axes.spines.top": True, "axes.spines.right": True}):
        drawn = Figure(figsize=(DESIGN_WIDTH, height))

        def place(left: float, top: float, high: float) -> Axes:
            return drawn.add_axes((left / DESIGN_WIDTH, 1 - (top + high) / height, WIDTH / DESIGN_WIDTH, high / height))

        def write(left: float, top: float, text: str, **how: Any) -> None:
            drawn.text(left / DESIGN_WIDTH, 1 - top / height, text, **how)

        write(0.22, 0.3, title, fontsize=LARGE, fontweight="bold")
        for number, panel in enumerate(PANELS):
            left, norm = LEFT + number * (WIDTH + GAP), panel.norm(cells[panel.column])
            write(left, TOP - 0.3, panel.title, fontweight="bold")
            for index, condition in enumerate(conditions):
                axes = place(left, TOP + index * (map_height + BETWEEN), map_height)
                _draw(axes, cells[cells["condition"] == condition], panel, norm)
                axes.set_title(condition if number == 0 else "", loc="left", fontsize=SMALL, style="italic", pad=3)
                axes.tick_params(labelleft=number == 0, labelbottom=index == len(conditions) - 1)
                if number == 0:
                    axes.set_ylabel("learned features\nper true feature")
            axes.set_xlabel(X_LABELS[rows["l1_scaling"].iloc[0]])
            bar = drawn.colorbar(
                ScalarMappable(norm, PALETTE), place(left, TOP + maps + LABELS, BAR), orientation="horizontal"
            )
            bar.set_label(panel.unit)
        write(0.22, TOP + maps + LABELS + BAR + 0.58, "\n".join(wrapped), va="top", fontsize=SMALL, linespacing=1.25)
    return drawn


def _draw(axes: Axes, cells: pd.DataFrame, panel: HeatMap, norm: Normalize) -> None:
    """One heat map; cells without a value are hatched, the best of its condition has a frame."""
    table = cells.pivot(index="ratio", columns="l1", values=panel.column).sort_index().sort_index(axis=1)
    values = table.to_numpy()
    axes.set_facecolor("#f2f2f2")
    axes.add_patch(Rectangle((-0.5, -0.5), *values.shape[::-1], fill=False, hatch="////", linewidth=0, zorder=0))
    axes.imshow(np.ma.masked_invalid(values), cmap=PALETTE, norm=norm, aspect="auto", origin="lower", zorder=1)
    axes.set_xticks(range(values.shape[1]), [f"{l1:.3g}" for l1 in table.columns], rotation=90)
    axes.set_yticks(range(values.shape[0]), [f"{ratio:g}" for ratio in table.index])
    axes.tick_params(length=2)
    if WIDTH / values.shape[1] >= MAY_WRITE:
        for (row, column), value in np.ndenumerate(values):
            if np.isfinite(value):
                shade = "black" if norm(value) > 0.6 else "white"
                axes.text(column, row, _short(value), ha="center", va="center", fontsize=6.5, color=shade)
    found = best(cells, cells["condition"].iloc[0])
    at = list(table.columns).index(found["l1"]) - 0.5, list(table.index).index(found["ratio"]) - 0.5
    axes.add_patch(Rectangle(at, 1, 1, fill=False, edgecolor=BEST, linewidth=1.8, clip_on=False))


def _short(value: float) -> str:
    """Two digits after the point, and no zero before it."""
    if 0 < value < 0.005:
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:.2f}".removeprefix("0") if value < 0.995 else f"{value:.1f}"

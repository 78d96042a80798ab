"""How figures look: one colour, marker and line a method, the same in every panel, also in grey.

A learned architecture has a hue of the Okabe-Ito palette and a marker of its own, lighter for smaller ratios;
baselines are grey, each with its own dashes and marker. So hue is never the only difference.
"""

import io
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from sparse_coding import methods

DESIGN_WIDTH = 12.0  # inch; panels and fonts are laid out for this width and scale with it
DARK, GREY = "#444444", "#d0d0d0"  # words beside panels; what is greyed
SMALL, TEXT, LARGE = 9.0, 10.0, 13.0  # points at the design width

RC: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
    "font.size": TEXT,
    "axes.titlesize": TEXT,
    "axes.labelsize": TEXT,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "legend.fontsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.6,
    "hatch.color": "#777777",
}


# Hinting fits each letter to whole dots: at 60 dots an inch a line is a tenth wider than it was measured.
_DRAWING: Any = {"text.hinting": "no_hinting"}


@dataclass(frozen=True)
class Look:
    """How one method is drawn everywhere."""

    colour: tuple[float, float, float]
    marker: str
    dashes: Any


def look(kind: str, ratio: float | None, ratios: list[float]) -> Look:
    """The look of a method; among the `ratios` of its architecture, the largest has the full colour."""
    place = (sorted(ratios).index(ratio) + 1) / len(ratios) if ratio in ratios else 1.0
    white = 0.6 * (1 - place)
    row = methods.of(kind)
    if methods.is_published(kind):
        return Look(to_rgb(row.colour), row.marker, row.dashes)
    red, green, blue = (channel + (1 - channel) * white for channel in to_rgb(row.colour))
    return Look((red, green, blue), row.marker, row.dashes)


def method(kind: str, ratio: float | None, control: str | None = None) -> str:
    """A method's short name, e.g. `tied r4` with 4 features per activation dimension, `tied r4 frozen decoder`."""
    label = methods.of(kind).label + ("" if ratio is None else f" r{ratio:g}")
    return label if control is None else f"{label} {methods.CONTROLS[control]}"  # type: ignore[index]


def control_of(value: object) -> str | None:
    """What a column `control` says, in which nothing may be None or NaN."""
    return value if isinstance(value, str) else None


def greyed(colour: tuple[float, float, float]) -> tuple[float, float, float]:
    """A colour half way to grey: the line of a control beside that of its kind."""
    red, green, blue = ((channel + 0.55) / 2 for channel in colour)
    return red, green, blue


def png(figure: Figure, width: float, dpi: int) -> bytes:
    """The figure as PNG, `width` inch wide: the same bytes for the same figure, with no date and no program name.

    Words are as wide as `layout` has measured them, at any dpi.
    """
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(dpi * width / figure.get_figwidth())
    with mpl.rc_context(_DRAWING):
        canvas.draw()
    buffer = io.BytesIO()
    # Nothing is transparent, and an alpha channel would be a fifth of the file.
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(buffer, "PNG", optimize=True, dpi=(dpi, dpi))
    return buffer.getvalue()

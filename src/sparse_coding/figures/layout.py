"""Places and widths in inches, and text that fits: what is drawn is measured first, so nothing collides.

Sizes are those at `style.DESIGN_WIDTH`.
"""

from functools import lru_cache
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath

from sparse_coding.figures import style

POINTS = 72.0  # an inch
SPARE = 1.03  # `style.png` draws letters as wide as they are; a canvas with hinting as much wider
_PATHS = TextToPath()


@lru_cache(maxsize=4096)
def width(text: str, size: float = style.SMALL, bold: bool = False) -> float:
    """How wide `text` is at `size` points, in inches; of several lines the widest."""
    font = FontProperties(family=style.RC["font.family"], size=size, weight="bold" if bold else "normal")
    lines = text.split("\n")
    return SPARE * max(_PATHS.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines) / POINTS


def wrap(text: str, inches: float, size: float = style.SMALL, bold: bool = False) -> list[str]:
    """`text` in lines of at most `inches`; a word that is longer than a line is cut."""
    space = width("a b", size, bold) - width("ab", size, bold)
    lines, end = [""], 0.0
    for index, word in enumerate(text.split(" ")):
        for part in _cut(word, inches, size, bold):
            wide = width(part, size, bold)
            if index == 0 and not lines[-1]:
                lines[-1], end = part, wide
            elif end + space + wide <= inches:
                lines[-1], end = f"{lines[-1]} {part}", end + space + wide
            else:
                lines.append(part)
                end = wide
    return [line.strip(" ") for line in lines]


def wrap_list(text: str, inches: float) -> list[str]:
    """As `wrap`, for words that are set apart by commas: a line ends after a comma where one can."""
    kept = text.replace(" ", "\u00a0").replace(",\u00a0", ", ")
    return [line.replace("\u00a0", " ") for line in wrap(kept, inches)]


def _cut(word: str, inches: float, size: float, bold: bool) -> list[str]:
    parts = [""]
    for letter in word:
        if parts[-1] and width(parts[-1] + letter, size, bold) > inches:
            parts.append("")
        parts[-1] += letter
    return parts


class Canvas:
    """A figure in which places are inches from the top left."""

    def __init__(self, height: float) -> None:
        self.figure, self.height = Figure(figsize=(style.DESIGN_WIDTH, height)), height

    def point(self, left: float, top: float) -> tuple[float, float]:
        """A place in the coordinates of the figure."""
        return left / style.DESIGN_WIDTH, 1 - top / self.height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes whose frame has this place and size."""
        x, y = self.point(left, top + height)
        return self.figure.add_axes((x, y, width / style.DESIGN_WIDTH, height / self.height))

    def text(self, left: float, top: float, text: str, **how: Any) -> None:
        """Write `text`, its lower left corner at this place unless `how` says otherwise."""
        self.figure.text(*self.point(left, top), text, **how)

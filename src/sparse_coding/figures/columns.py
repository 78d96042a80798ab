"""The two columns of the figure: where they begin, how wide they are, and how high they have to be."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparse_coding.figures import layout, style
from sparse_coding.figures.violins import ROW, Violins

MARGIN = 0.22
LEFT, CURVE_WIDTH, NATS = 0.86, 3.6, 0.74  # frames of a and b; what the right axis of b takes
LEAST_CURVE, CURVE_GAP = 2.3, 0.42  # height of a curve panel; between two
BESIDE = 0.22  # between the columns
MOST_LABEL, LABEL_PAD = 2.1, 0.1  # names of rows; between them and the axes
GAP = 1.12  # between c and d, with the label of c's axis and the title of d
LEGEND_LINE, LEGEND_HANDLE = 0.2, 0.66  # a line of the legend; its handle and spaces


@dataclass(frozen=True)
class Columns:
    """Places in inches from the left. right: where the titles of c and d begin; axes: their frames."""

    curve_width: float
    right: float
    label_width: float
    axes: float
    axes_width: float

    @staticmethod
    def of(n_left: int, panels: Sequence[Violins], has_nats: bool) -> "Columns":
        """The columns of `n_left` curve panels and of `panels`; one that has none leaves its room to the other."""
        end = style.DESIGN_WIDTH - MARGIN
        nats = NATS if has_nats else 0.0
        curve_width = CURVE_WIDTH + NATS - nats if panels else end - LEFT - nats
        right = LEFT + CURVE_WIDTH + NATS + BESIDE if n_left else MARGIN
        label_width = min(MOST_LABEL, max((panel.label_width for panel in panels), default=0.0))
        axes = right + label_width + LABEL_PAD
        numbers = max((panel.columns[-1] for panel in panels), default=0.0)
        return Columns(curve_width, right, label_width, axes, end - numbers - axes)

    def right_heights(self, panels: Sequence[Violins], at_least: float) -> list[float]:
        """The height of the frame of each panel; if together they are lower than `at_least`, they stretch to it."""
        wanted = [ROW * panel.height(self.label_width) for panel in panels]
        room = max(at_least - GAP * (len(panels) - 1), sum(wanted))
        return [room * each / sum(wanted) for each in wanted]

    def legend_columns(self, labels: Sequence[str]) -> int:
        """How many entries of the legend stand side by side below the curves."""
        widths = [LEGEND_HANDLE + layout.width(label) for label in labels]
        room = self.right - BESIDE - MARGIN

        def fits(n: int) -> bool:
            return sum(max(column) for column in np.array_split(widths, n)) <= room

        return next((n for n in range(len(widths), 1, -1) if fits(n)), 1)


def left_height(n_left: int, legend: float) -> float:
    """How high the left column has to be."""
    return LEAST_CURVE * n_left + CURVE_GAP * max(n_left - 1, 0) + legend if n_left else 0.0

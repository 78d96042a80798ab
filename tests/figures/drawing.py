"""Tables to a figure and its caption, as the stage does it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axis import Axis, Tick
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from sparse_coding.core.metrics import headline
from sparse_coding.figures import caption, comparison, curves, frequencies, scorers, scores
from sparse_coding.figures.records import records
from sparse_coding.figures.subject import Subject, kept
from tests.figures import tables


def interval(values: np.ndarray) -> tuple[float, float, float]:
    half = 1.96 * values.std() / np.sqrt(len(values))
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def drawn(
    evaluation: pd.DataFrame | None = None,
    autointerp: pd.DataFrame | None = None,
    control: pd.DataFrame | None = None,
    frequency: pd.DataFrame | None = None,
    environments: Sequence[dict[str, str]] = (),
    model: str | None = "pydocs-6l",
    corpus: str = "pydocs",
) -> tuple[Figure, str]:
    evaluation = tables.evaluation() if evaluation is None else evaluation
    autointerp = tables.autointerp() if autointerp is None else autointerp
    frequency = tables.frequency() if frequency is None else frequency
    by_file = {Path("site"): autointerp} | ({} if control is None else {Path("control"): control})
    scorer = scorers.shared(by_file)
    scored, *controls = (table[table["source"] == scorer.source] for table in by_file.values())
    lines = curves.curves(evaluation)
    rows = scores.rows(scored, next(iter(controls), None), evaluation, scorer.measure.column, interval)
    fired = frequencies.rows(frequency, evaluation, [row.name for row in rows if row.group == "learned"])
    plain = records(evaluation[evaluation["variant"] == "plain"])
    subject = Subject(
        site="layer2_residual",
        model=model,
        corpus=corpus,
        train_tokens=1_000_000,
        held_out=65_024,
        d_act=128,
        scorer=scorer,
        kept=kept(evaluation),
        n_learned=scores.n_learned(scored),
        advice=tuple(headline.advice(plain, set(scored["name"]))),
    )
    words = caption.text(subject, evaluation, lines, rows, fired, environments)
    return comparison.figure(subject, lines, rows, fired, words), words


def ticks(figure: Figure, panel: int) -> list[str]:
    return [label.get_text() for label in figure.axes[panel].get_yticklabels()]


def check(figure: Figure) -> None:
    """No words overlap others or leave the figure, no data leaves its axes, and c and d have no hole between them."""
    check_words_apart(figure)
    check_data_inside(figure)
    check_no_hole(figure)


def check_words_apart(figure: Figure) -> None:
    """No words overlap others or leave the figure."""
    FigureCanvasAgg(figure).draw()
    parts: list[Text] = [*figure.texts, *(text for legend in figure.legends for text in legend.get_texts())]
    for axes in (each for part in figure.axes for each in (part, *part.child_axes)):
        ticks = [tick.label1 for axis in (axes.xaxis, axes.yaxis) for tick in _seen(axis)]
        ticks += [tick.label2 for axis in (axes.xaxis, axes.yaxis) for tick in _seen(axis)]
        parts += [*axes.texts, *ticks, axes.xaxis.label, axes.yaxis.label]
    parts = [part for part in parts if part.get_visible() and part.get_text()]
    boxes = [part.get_window_extent() for part in parts]
    for index, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0, parts[index]
        assert box.x1 <= figure.bbox.x1, parts[index]
        assert figure.bbox.y0 <= box.y0, parts[index]
        assert box.y1 <= figure.bbox.y1, parts[index]
        for other, name in zip(boxes[:index], parts, strict=False):
            assert not box.overlaps(other), (parts[index], name)


def _seen(axis: Axis) -> list[Tick]:
    low, high = sorted(axis.get_view_interval())
    return [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def check_data_inside(figure: Figure) -> None:
    """All that is drawn in data coordinates lies within the limits of its axes."""
    for axes in figure.axes:
        (left, right), (low, high) = sorted(axes.get_xlim()), sorted(axes.get_ylim())
        for line in axes.lines:
            if line.get_transform() == axes.transData:
                x, y = (np.asarray(values, float) for values in line.get_data())
                assert np.all((x >= left) & (x <= right) | np.isnan(x) | np.isnan(y)), (axes.get_ylabel(), x)
                assert np.all((y >= low) & (y <= high) | np.isnan(x) | np.isnan(y)), (axes.get_ylabel(), y)
        for bars in axes.collections:
            points = [path.vertices for path in bars.get_paths() if len(path.vertices)]
            for vertices in points if bars.get_transform() == axes.transData else []:
                # An interval may be cut by a limit, never an outline.
                x, y = vertices[:, 0], vertices[:, 1]
                assert np.all((x >= left * 0.999) & (x <= right * 1.001)) or left < 0, axes.get_ylabel()
                assert np.all((y >= low - 1e-6) & (y <= high + 1e-6)), axes.get_ylabel()


def check_no_hole(figure: Figure) -> None:
    """Panels of a column follow each other with no more between them than their words need."""
    boxes = [axes.get_position() for axes in figure.axes]
    for box in boxes:
        below = [other.y1 for other in boxes if abs(other.x0 - box.x0) < 0.01 and other.y1 < box.y0]
        assert not below or (box.y0 - max(below)) * figure.get_figheight() < 1.3

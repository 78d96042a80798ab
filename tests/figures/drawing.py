"""Tables to a figure and its caption, as the stage does it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sparse_coding.figures import caption, comparison, curves, frequencies, scorers, scores
from sparse_coding.figures.subject import Subject, losses
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
) -> tuple[Figure, str]:
    evaluation = tables.evaluation() if evaluation is None else evaluation
    autointerp = tables.autointerp() if autointerp is None else autointerp
    frequency = tables.frequency() if frequency is None else frequency
    by_file = {Path("site"): autointerp} | ({} if control is None else {Path("control"): control})
    scorer = scorers.shared(by_file)
    scored, *controls = (table[table["source"] == scorer.source] for table in by_file.values())
    lines = curves.curves(evaluation)
    rows = scores.rows(scored, next(iter(controls), None), scorer.column, interval)
    fired = frequencies.rows(frequency, evaluation, [row.name for row in rows if row.group == "learned"])
    ce_clean, ce_ablated = losses(evaluation)
    subject = Subject(
        site="layer2_residual",
        model=model,
        corpus="pydocs",
        train_tokens=1_000_000,
        held_out=65_024,
        d_act=128,
        scorer=scorer,
        ce_clean=ce_clean,
        ce_ablated=ce_ablated,
        n_learned=scores.n_learned(scored),
    )
    words = caption.text(subject, evaluation, lines, rows, fired, environments)
    return comparison.figure(subject, lines, rows, fired, words), words


def ticks(figure: Figure, panel: int) -> list[str]:
    return [label.get_text() for label in figure.axes[panel].get_yticklabels()]


def check_words_apart(figure: Figure) -> None:
    """No words overlap others or leave the figure."""
    FigureCanvasAgg(figure).draw()
    c, d = figure.axes[2:]
    parts = [*figure.texts, *figure.legends, *c.texts, *d.texts, *c.get_yticklabels(), *d.get_yticklabels()]
    parts += [axes.yaxis.label for axes in (*figure.axes[:2], *figure.axes[1].child_axes)]
    parts += [axes.xaxis.label for axes in figure.axes[1:]]
    boxes = [part.get_window_extent() for part in parts]
    for index, box in enumerate(boxes):
        assert figure.bbox.x0 <= box.x0, parts[index]
        assert box.x1 <= figure.bbox.x1, parts[index]
        assert figure.bbox.y0 <= box.y0, parts[index]
        assert box.y1 <= figure.bbox.y1, parts[index]
        for other, name in zip(boxes[:index], parts, strict=False):
            assert not box.overlaps(other), (parts[index], name)

"""The figure of one site: learned dictionaries against PCA, ICA, NMF, the neuron basis and random directions.

    (a) FVU against L0                   (c) interpretability by method
    (b) what the model keeps, or loses   (d) how often features fire
        legend                               caption below all

Which panels there are: `panels`. What is written is measured first. Rows are as high as their labels need, so the
figure grows with the methods; where the left column is the higher one, they stretch to its height.
"""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter

from sparse_coding import methods, roles
from sparse_coding.figures import curve_panels, curves, layout, style, violins
from sparse_coding.figures.columns import CURVE_GAP, GAP, LEFT, LEGEND_LINE, MARGIN, Columns, left_height
from sparse_coding.figures.curves import Curve
from sparse_coding.figures.frequencies import Frequencies
from sparse_coding.figures.layout import Canvas
from sparse_coding.figures.panels import FREQUENCIES, KEPT, RECONSTRUCTION, SCORES, letters
from sparse_coding.figures.scores import Scores
from sparse_coding.figures.style import DARK, SMALL
from sparse_coding.figures.subject import Subject
from sparse_coding.figures.violins import Row, Violins

WIDTH = style.DESIGN_WIDTH - 2 * MARGIN
X_LABEL = 0.62  # below the last panels
TITLE_LINE, FACT_LINE, CAPTION_LINE = 0.24, 0.17, 0.155
TITLES = {
    RECONSTRUCTION: "Reconstruction",
    "loss_recovered": "What the model keeps",
    "final_fvu": "What the final hidden states lose",
    SCORES: "Interpretability by method",
    FREQUENCIES: "Firing frequency of features",
}


def figure(
    subject: Subject, lines: list[Curve], scores: list[Scores], frequencies: list[Frequencies], caption: str
) -> Figure:
    """Draw the figure. Nothing of pyplot's is touched."""
    with mpl.rc_context(style.RC):
        there = letters(subject, lines, scores, frequencies)
        rows = {SCORES: _score_panel(scores), FREQUENCIES: _frequency_panel(frequencies)}
        right = {name: panel for name, panel in rows.items() if name in there}
        left = [name for name in (RECONSTRUCTION, KEPT) if name in there]
        measure = subject.kept.measure if KEPT in there else None
        drawn = curves.shown(lines, measure) if left else []
        columns = Columns.of(len(left), list(right.values()), measure == "loss_recovered")

        handles = curve_panels.legend_handles(drawn, there.get(KEPT))
        abreast = columns.legend_columns([str(handle.get_label()) for handle in handles])
        legend = LEGEND_LINE * -(-len(handles) // abreast)
        heights = columns.right_heights(list(right.values()), left_height(len(left), legend))
        high = max(sum(heights) + GAP * (len(heights) - 1), left_height(len(left), legend))
        titles, facts = _heads(subject)
        top = 0.57 + TITLE_LINE * len(titles) + FACT_LINE * len(facts)
        written = [line for part in caption.split("\n") for line in layout.wrap(part, WIDTH)]
        below = top + high + (X_LABEL + 0.15 if there else 0)

        canvas = Canvas(below + CAPTION_LINE * len(written) + 0.15)
        for place, line in enumerate(titles):
            canvas.text(MARGIN, 0.3 + TITLE_LINE * place, line, fontsize=style.LARGE, fontweight="bold")
        for place, line in enumerate(facts):
            canvas.text(MARGIN, 0.29 + TITLE_LINE * len(titles) + FACT_LINE * place, line, color=DARK)
        _draw_curves(canvas, (top, high - legend), {name: there[name] for name in left}, subject, drawn, columns)
        if handles:
            _draw_legend(canvas.figure, handles, canvas.point(MARGIN, top + high + X_LABEL - legend), abreast)
        for (name, panel), height in zip(right.items(), heights, strict=True):
            axes = canvas.axes(columns.axes, top, columns.axes_width, height)
            violins.draw(axes, panel, columns.label_width, height)
            (_interpretability if name == SCORES else _firing)(axes, panel.rows, subject)
            _title(canvas, columns.right, top, there[name], TITLES[name])
            top += height + GAP
        canvas.text(MARGIN, below, "\n".join(written), va="top", fontsize=SMALL, linespacing=1.25)
    return canvas.figure


def _heads(subject: Subject) -> tuple[list[str], list[str]]:
    """The lines of the title, and those of the facts below it."""
    model = f" in {subject.model}" if subject.model else ", imported activations"
    title = layout.wrap(f"Dictionaries of {subject.site}{model}", WIDTH, style.LARGE, bold=True)
    facts = [f"corpus {subject.corpus}"] if subject.corpus else []
    facts += [f"{subject.train_tokens:,} tokens to train on"] if subject.train_tokens else []
    facts += [f"evaluated on {subject.held_out:,} held-out tokens", f"d_act {subject.d_act}"]
    scorer = [f"scorer: {subject.scorer.name}", *subject.scorer.models]
    # The names of two models need a line of their own.
    parts = [facts, scorer] if subject.scorer.is_llm else [facts + scorer]
    return title, [line for part in parts for line in layout.wrap("  ·  ".join(part), WIDTH, style.TEXT)]


def _title(canvas: Canvas, left: float, top: float, letter: str, title: str) -> None:
    canvas.text(left, top - 0.1, f"({letter}) {title}", fontweight="bold")


def _draw_curves(
    canvas: Canvas,
    place: tuple[float, float],
    there: dict[str, str],
    subject: Subject,
    drawn: Sequence[tuple[Curve, str]],
    columns: Columns,
) -> None:
    """Panels a and b, one above the other, in `place` (its top and height), with one L0 axis."""
    top, high = place
    lines, limits = list(dict.fromkeys(line for line, _ in drawn)), curves.l0_limits(drawn)
    each = (high - CURVE_GAP * (len(there) - 1)) / max(len(there), 1)
    for name, letter in there.items():
        axes = canvas.axes(LEFT, top, columns.curve_width, each)
        measure = subject.kept.measure
        if name == RECONSTRUCTION:
            curve_panels.reconstruction(axes, lines, limits, subject.map_fvu)
        elif measure == "loss_recovered":
            curve_panels.loss_recovered(axes, lines, limits, subject.kept)
        else:
            curve_panels.final_states(axes, lines, limits, subject.kept)
        _title(canvas, MARGIN, top, letter, TITLES[name if name == RECONSTRUCTION else str(measure)])
        is_last = letter == list(there.values())[-1]
        axes.tick_params(axis="x", labelbottom=is_last)
        axes.set_xlabel(curve_panels.L0_LABEL if is_last else "")
        top += each + CURVE_GAP


def _draw_legend(figure: Figure, handles: list, place: tuple[float, float], columns: int) -> None:
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=place,
        ncols=columns,
        frameon=False,
        borderaxespad=0,
        columnspacing=1.4,
        handlelength=3.0,
    )


def _score_panel(scores: Sequence[Scores]) -> Violins:
    rows = [
        Row(
            label=row.label,
            group=row.group,
            look=row.look,
            values=row.values,
            centre=row.mean,
            low=row.low,
            high=row.high,
            cells=(
                "" if np.isnan(row.l0) else f"{row.l0:.3g}",
                f"{row.mean:z.2f} [{row.low:z.2f}, {row.high:z.2f}]" if len(row.values) else "none scored",
                f"{len(row.values)} / {row.sampled}",
            ),
            hatched=row.group == "controls" and row.role != "twin",
            doubt=row.doubt,
        )
        for row in scores
    ]
    return Violins(rows, ("L0", "mean [95 %]", "n"))


def _frequency_panel(frequencies: Sequence[Frequencies]) -> Violins:
    rows = []
    for row in frequencies:
        logs = np.log10(row.values)
        low, centre, high = np.quantile(logs, [0.25, 0.5, 0.75]) if len(logs) else (np.nan, np.nan, np.nan)
        cells = (f"{row.l0:.3g}", f"{row.dead:,} of {row.n_feat:,}")
        rows.append(Row(row.label, "", row.look, logs, centre, low, high, cells, doubt=row.doubt))
    return Violins(rows, ("L0", "dead"))


def _interpretability(axes: Axes, rows: Sequence[Row], subject: Subject) -> None:
    chance = subject.scorer.measure.chance
    axes.axvline(chance, color=DARK, linewidth=0.8, zorder=1)
    random = random_directions(rows)
    if random is not None:
        axes.axvline(random, color=DARK, linewidth=1, linestyle=(0, (3, 2)), zorder=1)
    lowest = min([chance, *(min(row.values.min(), row.low) for row in rows if len(row.values))])
    axes.set_xlim(lowest - 0.04, 1.03)
    step = 5 if lowest < -0.3 else 2 if lowest < 0.4 else 1
    axes.xaxis.set_major_locator(FixedLocator([tenth / 10 for tenth in range(-10, 11, step)]))
    axes.set_xlabel(subject.scorer.axis)


def random_directions(rows: Sequence[Row]) -> float | None:
    """The mean of random directions, where the dashed line stands; None where they were not scored."""
    label = methods.of(roles.REFERENCE).label
    return next((row.centre for row in rows if row.label == label and len(row.values)), None)


def _firing(axes: Axes, rows: Sequence[Row], subject: Subject) -> None:
    axes.xaxis.set_major_formatter(FuncFormatter(lambda power, _: f"$10^{{{power:g}}}$"))
    lowest = int(np.floor(min((row.values.min() for row in rows if len(row.values)), default=-4) - 0.02))
    axes.set_xlim(lowest, 0.04)
    axes.set_xticks(range(lowest, 1))
    axes.set_xlabel("firing frequency (share of held-out tokens, log scale)")

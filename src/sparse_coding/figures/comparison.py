"""The figure of one site: learned dictionaries against PCA, ICA, NMF, the neuron basis and random directions.

    (a) FVU against L0                   (c) interpretability by method
    (b) loss recovered against L0        (d) how often features fire
        legend                               caption below all

Sizes are in inches at `style.DESIGN_WIDTH`; rows are as high as labels need, so the figure grows with the methods.
"""

import textwrap
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from sparse_coding.figures import curves, style, violins
from sparse_coding.figures.curves import Curve
from sparse_coding.figures.frequencies import Frequencies
from sparse_coding.figures.scores import Scores
from sparse_coding.figures.style import SMALL
from sparse_coding.figures.subject import Subject
from sparse_coding.figures.violins import Row

ROW = 0.37  # height of a violin's row
LEFT, CURVE_WIDTH = 0.72, 3.95
RIGHT, VIOLIN_WIDTH = 7.2, 2.68
TOP, GAP = 0.98, 1.12  # above the panels; between panels c and d
CURVE_GAP, X_LABEL = 0.42, 0.55
LEGEND_COLUMNS, LEGEND_LINE = 3, 0.2
FACT_LINE = 0.17
CAPTION_LINE, CAPTION_LETTERS = 0.155, 176
SCORE_COLUMNS = (1.15, 1.93)
FREQUENCY_COLUMNS = (0.55, 1.93)


def figure(
    subject: Subject, lines: list[Curve], scores: list[Scores], frequencies: list[Frequencies], caption: str
) -> Figure:
    """Draw the figure. Nothing of pyplot's is touched."""
    with mpl.rc_context(style.RC):
        if subject.lacks_loss:
            lines = [line for line in lines if not line.refit]  # they are drawn in b only
        handles = curves.legend_handles(lines)
        wrapped = [line for part in caption.split("\n") for line in textwrap.wrap(part, CAPTION_LETTERS)]
        score_rows, frequency_rows = _score_rows(scores), _frequency_rows(frequencies)
        legend = LEGEND_LINE * -(-len(handles) // LEGEND_COLUMNS)
        score_height = ROW * max(violins.height(score_rows), 3)
        frequency_height = ROW * max(violins.height(frequency_rows), 3)
        panels = max(score_height + GAP + frequency_height, 5.4 + CURVE_GAP + legend)
        height = TOP + panels + X_LABEL + 0.15 + CAPTION_LINE * len(wrapped) + 0.15
        canvas = _Canvas(Figure(figsize=(style.DESIGN_WIDTH, height)), height)

        curve_height = (panels - CURVE_GAP - legend - 0.12) / 2
        upper = canvas.axes(LEFT, TOP, CURVE_WIDTH, curve_height)
        lower = canvas.axes(LEFT, TOP + curve_height + CURVE_GAP, CURVE_WIDTH, curve_height)
        _reconstruction(upper, lines)
        _recovered(lower, lines, subject)
        _same_l0(upper, lower)
        canvas.figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=canvas.point(LEFT - 0.5, TOP + panels + X_LABEL - legend - 0.1),
            ncols=LEGEND_COLUMNS,
            frameon=False,
            borderaxespad=0,
            columnspacing=1.4,
            handlelength=3.0,
        )
        _interpretability(canvas.axes(RIGHT, TOP, VIOLIN_WIDTH, score_height), score_rows, subject)
        _firing(canvas.axes(RIGHT, TOP + panels - frequency_height, VIOLIN_WIDTH, frequency_height), frequency_rows)
        _titles(canvas, subject, score_height, curve_height, panels - frequency_height)
        canvas.text(
            LEFT - 0.5, TOP + panels + X_LABEL + 0.15, "\n".join(wrapped), va="top", fontsize=SMALL, linespacing=1.25
        )
    return canvas.figure


class _Canvas:
    """A figure in which places are inches from the top left."""

    def __init__(self, figure: Figure, height: float) -> None:
        self.figure, self.height = figure, height

    def point(self, left: float, top: float) -> tuple[float, float]:
        return left / style.DESIGN_WIDTH, 1 - top / self.height

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        x, y = self.point(left, top + height)
        return self.figure.add_axes((x, y, width / style.DESIGN_WIDTH, height / self.height))

    def text(self, left: float, top: float, text: str, **how: Any) -> None:
        self.figure.text(*self.point(left, top), text, **how)


def _titles(canvas: _Canvas, subject: Subject, score_height: float, curve_height: float, frequency_top: float) -> None:
    model = f" in {subject.model}" if subject.model else ", imported activations"
    canvas.text(LEFT - 0.5, 0.3, f"Dictionaries of {subject.site}{model}", fontsize=style.LARGE, fontweight="bold")
    facts = [f"corpus {subject.corpus}"] if subject.corpus else []
    facts += [f"trained on {subject.train_tokens:,} tokens"] if subject.train_tokens else []
    facts += [f"evaluated on {subject.held_out:,} held-out tokens", f"d_act {subject.d_act}"]
    scorer = [f"scorer: {subject.scorer.name}", *subject.scorer.models]
    # The names of two models need a line of their own.
    lines = [facts, scorer] if subject.scorer.is_llm else [facts + scorer]
    for place, line in enumerate(lines):
        canvas.text(LEFT - 0.5, 0.53 + FACT_LINE * place, "  ·  ".join(line), color="#444444")
    left, right = LEFT - 0.5, RIGHT - 1.7
    canvas.text(left, TOP - 0.1, "(a) Reconstruction", fontweight="bold")
    canvas.text(left, TOP + curve_height + CURVE_GAP - 0.1, "(b) What the model keeps", fontweight="bold")
    canvas.text(right, TOP - 0.1, "(c) Interpretability by method", fontweight="bold")
    canvas.text(right, TOP + frequency_top - 0.28, "(d) Firing frequency of features", fontweight="bold")


def _reconstruction(axes: Axes, lines: list[Curve]) -> None:
    plain = [line for line in lines if not line.refit]
    curves.draw(axes, plain, "fvu")
    highest = max((float(line.points["fvu"].max()) for line in plain), default=1.0)
    axes.set_ylim(0, min(highest * 1.06, curves.HIGHEST_FVU))
    axes.set_ylabel("FVU (fraction of variance unexplained)")
    curves.mark_crossings(axes, lines)


def _recovered(axes: Axes, lines: list[Curve], subject: Subject) -> None:
    axes.set_ylabel("loss recovered (against mean ablation)")
    axes.set_xlabel("L0 (mean number of features active on a token, log scale)")
    if lacks := subject.lacks_loss:
        axes.set_yticks([])
        curves.log_l0(axes)
        axes.text(0.5, 0.5, f"not measured: {lacks[0]}", transform=axes.transAxes, ha="center", va="center")
        return
    curves.draw(axes, lines, "loss_recovered")
    lowest = min((float(line.points["loss_recovered"].min()) for line in lines), default=0.0)
    axes.set_ylim(max(lowest - 0.05, curves.LOWEST_RECOVERED), 1.01)
    axes.axhline(1, color="#444444", linewidth=0.8)
    how: Any = {"textcoords": "offset points", "va": "top", "fontsize": SMALL, "color": "#444444"}
    axes.annotate("the model as it is", (0.02, 1), xycoords=axes.get_yaxis_transform(), xytext=(0, -3), **how)
    nats = axes.secondary_yaxis("right", functions=_share_to_nats(subject))
    nats.set_ylabel("cross-entropy of the spliced\nmodel (nats / token)")
    nats.spines["right"].set_visible(True)


def _share_to_nats(subject: Subject) -> Any:
    """From loss recovered to cross-entropy, and back."""
    clean, ablated = cast(float, subject.ce_clean), cast(float, subject.ce_ablated)  # there is a loss
    span = ablated - clean
    return lambda share: ablated - share * span, lambda ce: (ablated - ce) / span


def _same_l0(upper: Axes, lower: Axes) -> None:
    lower.sharex(upper)
    upper.tick_params(axis="x", labelbottom=False)
    upper.margins(x=0.03)


def _score_rows(scores: list[Scores]) -> list[Row]:
    return [
        Row(
            label=row.label,
            group=row.group,
            look=row.look,
            values=row.values,
            centre=row.mean,
            low=row.low,
            high=row.high,
            cells=(
                f"{row.mean:z.2f} [{row.low:z.2f}, {row.high:z.2f}]" if len(row.values) else "none scored",
                f"{len(row.values)} / {row.sampled}",
            ),
            control=row.group == "controls",
        )
        for row in scores
    ]


def _frequency_rows(frequencies: list[Frequencies]) -> list[Row]:
    rows = []
    for row in frequencies:
        logs = np.log10(row.values)
        low, centre, high = np.quantile(logs, [0.25, 0.5, 0.75]) if len(logs) else (np.nan, np.nan, np.nan)
        cells = (f"{row.l0:.3g}", f"{row.dead:,} of {row.n_feat:,}")
        rows.append(Row(row.label, "", row.look, logs, centre, low, high, cells))
    return rows


def _interpretability(axes: Axes, rows: list[Row], subject: Subject) -> None:
    violins.draw(axes, rows, ("mean [95 %]", "n"), SCORE_COLUMNS)
    violins.headings(axes, rows)
    chance = subject.scorer.chance
    axes.axvline(chance, color="#444444", linewidth=0.8, zorder=1)
    random = next((row.centre for row in rows if row.label == style.NAMES["random"]), None)
    if random is not None:
        axes.axvline(random, color="#444444", linewidth=1, linestyle=(0, (3, 2)), zorder=1)
    lowest = min([chance, *(row.values.min() for row in rows if len(row.values))])
    axes.set_xlim(max(lowest - 0.03, -1), 1.02)
    axes.set_xlabel(subject.scorer.axis)


def _firing(axes: Axes, rows: list[Row]) -> None:
    violins.draw(axes, rows, ("L0", "dead"), FREQUENCY_COLUMNS)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda power, _: f"$10^{{{power:g}}}$"))
    lowest = min((row.values.min() for row in rows if len(row.values)), default=-4)
    axes.set_xlim(np.floor(lowest), 0.02)
    axes.set_xticks(range(int(np.floor(lowest)), 1))
    axes.set_xlabel("firing frequency (share of held-out tokens, log scale)")

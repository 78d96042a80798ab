"""The words under the figure: how it was made, and what it does not show. Every number comes from the data."""

from collections.abc import Sequence

import pandas as pd

from sparse_coding.figures import scores_caption
from sparse_coding.figures.curves import HIGHEST_FVU, LOWEST_RECOVERED, Curve, pca_crossings
from sparse_coding.figures.frequencies import Frequencies
from sparse_coding.figures.scores import RANDOM_WEIGHTS, Scores
from sparse_coding.figures.subject import Subject

MOST_NAMED = 6  # more lines than this are counted, not named


def text(
    subject: Subject,
    evaluation: pd.DataFrame,
    lines: list[Curve],
    scores: list[Scores],
    frequencies: list[Frequencies],
    environments: Sequence[dict[str, str]] = (),
) -> str:
    """The caption: a paragraph for a and b, one for c, one for d, then what is missing and what was mixed."""
    panel_c = scores_caption.sentences(subject.scorer, scores, subject.n_learned)
    paragraphs = [_curves(subject, evaluation, lines), panel_c, _frequencies(frequencies)]
    more = [_missing(subject, lines, scores), mixed(environments)]
    return "\n".join([*paragraphs, *(words for words in more if words)])


def _curves(subject: Subject, evaluation: pd.DataFrame, lines: list[Curve]) -> str:
    sentences = [
        f"(a, b) {subject.held_out:,} held-out vectors. A point is a dictionary; L1 or k varies along a line; r is the "
        "number of features per activation dimension; thin bars are 95 % intervals."
    ]
    if any(line.seeds > 1 for line in lines):
        sentences.append("Several seeds: their mean.")
    sentences += _crossings(subject, lines)
    sentences += _not_drawn(evaluation, lines)
    if subject.lacks_loss is None:
        sentences.append(
            "(b) Loss recovered is against mean ablation: 0 is the model with this site at its mean (cross-entropy "
            f"{subject.ce_ablated:.2f} nats), 1 the model as it is ({subject.ce_clean:.2f}). The ablated model is so "
            "bad that a high share can hide a large loss: read the right axis too."
        )
        if any(line.refit for line in lines):
            sentences.append("Gain refit: one least-squares factor per feature, which undoes the shrinkage by L1.")
    return " ".join(sentences)


def _crossings(subject: Subject, lines: list[Curve]) -> list[str]:
    places = pca_crossings(lines)
    lose = {label: place for label, place in places.items() if place is not None}
    highest = {line.label: line.points["l0"].max() for line in lines if not line.refit}
    keep = [f"{label} (up to L0 {highest[label]:.0f})" for label in places if label not in lose]
    sentences = []
    if lose:
        span = _range(min(lose.values()), max(lose.values()), ".0f")
        names = ", ".join(f"{label}: L0 {place:.0f}" for label, place in lose.items())
        where = names if len(lose) <= MOST_NAMED else f"{len(lose)} lines: L0 {span}"
        share = _range(min(lose.values()) / subject.d_act, max(lose.values()) / subject.d_act, ".2f")
        sentences.append(
            f"PCA top-k has the lower FVU above a crossing ({where}; {share} of d_act = {subject.d_act}): with so many "
            "codes a basis that is only as large as d_act is already nearly complete."
        )
    if keep:
        names = ", ".join(keep) if len(keep) <= MOST_NAMED else f"{len(keep)} other lines"
        sentences.append(f"No crossing with PCA in the measured range: {names}.")
    return sentences


def _range(low: float, high: float, form: str) -> str:
    first, last = format(low, form), format(high, form)
    return first if first == last else f"{first} to {last}"


def _not_drawn(evaluation: pd.DataFrame, lines: list[Curve]) -> list[str]:
    sentences = []
    nmf = evaluation[(evaluation["kind"] == "nmf") & (evaluation["variant"] == "plain")]
    if len(nmf):
        row = nmf.iloc[0]
        sentences.append(f"NMF is dense (L0 {row['l0']:.0f}, FVU {row['fvu']:.2f}) and stands in c only.")
    beyond = sum(
        int((line.points["fvu"] > HIGHEST_FVU).sum() + (line.points["loss_recovered"] < LOWEST_RECOVERED).sum())
        for line in lines
    )
    if beyond:
        sentences.append(f"{beyond} points lie outside the axes (FVU > {HIGHEST_FVU}, recovered < {LOWEST_RECOVERED}).")
    return sentences


def _frequencies(frequencies: list[Frequencies]) -> str:
    if not frequencies:
        return "(d) No firing frequencies."
    return (
        "(d) How often a feature fires, on held-out tokens: the learned dictionaries of c, and each top-k baseline at "
        "the L0 nearest to theirs. Violins: features that fire at all; dot and bar: median and quartiles."
    )


def _missing(subject: Subject, lines: list[Curve], scores: list[Scores]) -> str:
    missing = []
    if lacks := subject.lacks_loss:
        missing.append(f"panel b ({lacks[1]})")
    if not any(line.look.dashes != "-" for line in lines):
        missing.append("top-k variants of the baselines in a and b")
    present = {row.label.split(",")[0] for row in scores if row.group == "controls"}
    wanted = ["random directions", *(["shuffled null"] if subject.scorer.has_null else []), RANDOM_WEIGHTS]
    missing += [f"the control {control}" for control in wanted if control not in present]
    return f"Missing here: {'; '.join(missing)}." if missing else ""


def mixed(environments: Sequence[dict[str, str]]) -> str:
    """What differs between the libraries and processors that the numbers come from; they round differently."""
    names = dict.fromkeys(name for each in environments for name in each)
    differing = {name: dict.fromkeys(each.get(name, "none") for each in environments) for name in names}
    words = [f"{name} ({', '.join(values)})" for name, values in differing.items() if len(values) > 1]
    return f"Mixed: the numbers were made with more than one {' and '.join(words)}." if words else ""

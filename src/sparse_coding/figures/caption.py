"""The words under the figure: how it was made, and what it does not show.

Every sentence stands only where what it speaks of is drawn, and every number comes from the data.
"""

from collections.abc import Sequence

import pandas as pd

from sparse_coding import methods, roles
from sparse_coding.core.metrics import headline
from sparse_coding.core.metrics.soundness import DOUBTFUL
from sparse_coding.figures import curves_caption, panels, scores_caption
from sparse_coding.figures.curves import Curve
from sparse_coding.figures.frequencies import Frequencies
from sparse_coding.figures.scores import Scores
from sparse_coding.figures.subject import Subject

GPU = "gpu"  # what environments call it


def text(
    subject: Subject,
    evaluation: pd.DataFrame,
    lines: list[Curve],
    scores: list[Scores],
    frequencies: list[Frequencies],
    environments: Sequence[dict[str, str]] = (),
) -> str:
    """The caption: a paragraph for a and b, one for c, one for d, then what is missing and what was mixed."""
    there = panels.letters(subject, lines, scores, frequencies)
    found = [
        curves_caption.sentences(subject, evaluation, lines, there),
        scores_caption.sentences(subject, evaluation, scores, there),
        _frequencies(subject, frequencies, there),
        " ".join(subject.advice),
        _missing(subject, lines, scores, there),
        mixed(environments),
    ]
    return "\n".join(words for words in found if words)


def _frequencies(subject: Subject, frequencies: list[Frequencies], there: dict[str, str]) -> str:
    if not frequencies:
        return ""
    who = ["the learned dictionaries"] if any(row.group == "learned" for row in frequencies) else []
    if who and panels.SCORES in there:
        who[0] += f" of {there[panels.SCORES]}"
    if any(row.group == "published" for row in frequencies):
        who.append("those that were trained elsewhere")
    if any(row.group == "baselines" for row in frequencies):
        which = "of the linear maps of some rank" if subject.pair else "of each top-k baseline"
        who.append(f"{which} the one whose L0 is nearest to {headline.LOW:g} to {headline.HIGH:g}")
    found = [f"({there[panels.FREQUENCIES]}) How often a feature fires, on held-out tokens: {', and '.join(who)}."]
    if any(len(row.values) for row in frequencies):
        found.append("Violins: features that fire at all; dot and bar: median and quartiles.")
    if any(row.doubt for row in frequencies):
        found.append(f"Greyed: more than {100 * DOUBTFUL:.0f} % of the features are dead.")
    return " ".join(found)


def _missing(subject: Subject, lines: list[Curve], scores: list[Scores], there: dict[str, str]) -> str:
    missing = [] if subject.lacks_kept is None else [f"what the model keeps ({subject.lacks_kept})"]
    curve_letters = [there[name] for name in (panels.RECONSTRUCTION, panels.KEPT) if name in there]
    if curve_letters and all(methods.is_trained(line.kind) for line in lines):
        missing.append(f"top-k variants of the baselines in {' and '.join(curve_letters)}")
    reference = roles.REFERENCE
    held = {row.role for row in scores} | {row.name for row in scores if row.name == reference}
    wanted = {} if subject.pair else {reference: methods.of(reference).label}
    wanted |= {"untrained": "random-weights model"}
    if subject.scorer.has_null:
        wanted |= {"null": "shuffled null"}
    order = (reference, "null", "untrained")
    missing += [f"the control {wanted[role]}" for role in order if role in wanted and role not in held]
    found = [f"Missing here: {'; '.join(missing)}."] if missing else []
    if subject.pair:
        others = ", ".join(methods.of(kind).label for kind in methods.OF_SITES)
        found.append(f"A pair of places has none of the baselines of one place ({others}).")
    return " ".join(found)


def mixed(environments: Sequence[dict[str, str]]) -> str:
    """What differs between the libraries and processors that the numbers come from; they round differently.

    A GPU is named also where there is one alone: other steps always run on the processor.
    """
    names = dict.fromkeys(name for each in environments for name in each if name != GPU)
    differing = {name: dict.fromkeys(each.get(name, "none") for each in environments) for name in names}
    words = [f"{name} ({', '.join(values)})" for name, values in differing.items() if len(values) > 1]
    devices = dict.fromkeys(each[GPU] for each in environments if GPU in each)
    said = [f"Computed on a GPU: {' and '.join(devices)}."] if devices else []
    said += [f"Mixed: the numbers were made with more than one {' and '.join(words)}."] if words else []
    return " ".join(said)

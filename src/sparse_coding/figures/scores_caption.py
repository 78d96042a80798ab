"""What the caption says about panel c: what was scored, by whom, what is left out, and what the controls tell."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from sparse_coding import methods, roles
from sparse_coding.core.metrics import headline
from sparse_coding.core.metrics.soundness import DOUBTFUL
from sparse_coding.figures import panels
from sparse_coding.figures.scorers import SOURCES, Scorer
from sparse_coding.figures.scores import MOST_HELD, Scores
from sparse_coding.figures.subject import Subject
from sparse_coding.settings.params import MOST_FAILED

_ASKED = {"chat": "a fragment a call", "per_token": "a token a call", "echo": "a fragment a call, echoed"}
_TOLD_APART = {
    "detection": "texts in which the feature fires from texts in which it does not",
    "fuzzing": "texts in which the tokens that switch the feature on are marked from texts in which other tokens are",
}

_MEASURED = {
    "detection": "the balanced accuracy of the judge's answers",
    "fuzzing": "the balanced accuracy of the judge's answers",
    "intruder": "the share of intruders that the judge found",
    "embedding": "the area under the ROC curve (AUC) of cosines",
}


def sentences(subject: Subject, evaluation: pd.DataFrame, scores: Sequence[Scores], there: Mapping[str, str]) -> str:
    """The paragraph for the panel; `there`: the letter of each panel."""
    if not scores:
        return ""
    scorer = subject.scorer
    return " ".join(
        [
            *_scorer(scorer, scores, there[panels.SCORES]),
            *_shown(scores, subject.n_learned),
            *_held(scores),
            *_partial(scores),
            *_weakest(scores),
            _left_out(scorer, scores),
            *_failed(scores),
            *_greyed(scores),
            *_signed(evaluation, scores),
            *_controls(scores),
        ]
    )


def _scorer(scorer: Scorer, scores: Sequence[Scores], letter: str) -> list[str]:
    measure = _MEASURED.get(scorer.scorer, "the correlation of true and predicted activation")
    chosen = {"sample": "a uniform sample of features", "first": "the first features (no sample)"}[scorer.choice]
    marks = ["dot and bar: mean and 95 % bootstrap interval over features"]
    marks += ["L0: on held-out vectors", "n: features scored of those chosen"]
    if any(row.name == roles.REFERENCE and len(row.values) for row in scores):
        marks.append(f"dashed line: {methods.of(roles.REFERENCE).label}")
    found = [f"({letter}) Scorer: {scorer.name}. For {chosen}, {measure}; {'; '.join(marks)}."]
    if scorer.scorer == "token-rules":
        found.append("It measures surface repeatability (does a feature fire on the same tokens again?), not meaning.")
    if scorer.is_llm:
        found += _models(scorer)
    return found


def _models(scorer: Scorer) -> list[str]:
    how = f"; shown to the explainer: {scorer.shown}" if scorer.shown and scorer.is_explained else ""
    mode = f", mode {scorer.mode}" if scorer.is_correlation else ""
    return [
        _asked_for(scorer),
        *([f"Asked: {scorer.server}."] if scorer.server else []),
        f"Source of the scores: {SOURCES[scorer.source]}, {scorer.why}; prompts {scorer.prompts}{mode}{how}.",
        "Not comparable with token-rules scores, with another judge, or with published scores of other simulators.",
    ]


def _asked_for(scorer: Scorer) -> str:
    chance = f"chance, the full line, is {scorer.measure.chance}"
    if scorer.scorer == "intruder":
        return (
            f"Nobody explained: {scorer.judge} was shown five texts ({scorer.simulator}), with the tokens marked that "
            f"switch the feature on in four of them, and had to say which does not belong: {chance}."
        )
    if scorer.scorer == "embedding":
        return (
            f"{scorer.explainer} explained each feature in words; {scorer.judge} embedded words and texts "
            f"({scorer.simulator}), and the words should be nearer to texts in which the feature fires: {chance}."
        )
    task = f"predict the activation on each token ({_ASKED.get(scorer.simulator)})"
    if scorer.is_classifier:
        hard = "" if scorer.simulator == "classifier" else f" ({scorer.simulator})"
        task = f"tell {_TOLD_APART[scorer.scorer]}{hard}, equally many of each: {chance}"
    words = f"{scorer.explainer} explained each feature in words, {scorer.judge} judged"
    return f"{words}: by the words alone it had to {task}."


def _weakest(scores: Sequence[Scores]) -> list[str]:
    """Features that are hardly ever silent are asked about in another way: how many of them each mean holds."""
    words = [f"{_plain(row.label)} ({row.weakest} of {len(row.values)})" for row in scores if row.weakest]
    if not words:
        return []
    return [
        "Of features that are hardly ever silent the strongest texts, or tokens, were told from the weakest, which is "
        f"another question; so many of those scored: {'; '.join(words)}."
    ]


def _shown(scores: Sequence[Scores], n_learned: tuple[int, int]) -> list[str]:
    shown, (scored, cells) = sum(row.group == "learned" for row in scores), n_learned
    if shown >= scored:
        return []
    near = f"of a kind and size the one whose L0 is nearest to {headline.LOW:g} to {headline.HIGH:g}"
    spaced = f", and of {cells} such evenly spaced ones" if shown < cells else ""
    return [f"Shown: {shown} of {scored} scored learned dictionaries, {near}{spaced}; the table has all."]


def _held(scores: Sequence[Scores]) -> list[str]:
    """The rows of dictionaries of which something was held."""
    shown = sum(row.role == "held" for row in scores)
    some = f": {shown} of them, evenly spaced" if shown == MOST_HELD else ""
    return [f"Frozen and untrained ones are controls of rows above, of their settings{some}."] if shown else []


def _greyed(scores: Sequence[Scores]) -> list[str]:
    words = [f"{_plain(row.label)} ({row.doubt})" for row in scores if row.doubt]
    if not words:
        return []
    broken = "broken, or " if any(row.broken for row in scores) else ""
    return [
        f"Greyed, because {broken}more than {100 * DOUBTFUL:.0f} % of the features are dead or have no score, so that "
        f"the mean is of what is left: {'; '.join(words)}."
    ]


def _plain(label: str) -> str:
    return label.replace("\n", " ")


def _signed(evaluation: pd.DataFrame, scores: Sequence[Scores]) -> list[str]:
    """The baselines whose directions stand twice; those of the original code do not."""
    signed = [kind for kind in methods.BASELINES if methods.of(kind).signed]
    shown = {row.name for row in scores if row.name in signed}
    rows = evaluation[evaluation["name"].isin(shown) & (evaluation["n_feat"] > evaluation["d_act"])]
    names = [methods.of(name).label for name in signed if name in set(rows["name"])]
    if not names:
        return []
    return [f"Each direction as +d and −d, codes rectified: {', '.join(names)}."]


def _partial(scores: Sequence[Scores]) -> list[str]:
    """Where a run stopped at a cap or for want of answers; the control is a run of its own."""
    site = {(row.sampled, row.wanted) for row in scores if not row.untrained}
    control = {(row.sampled, row.wanted) for row in scores if row.untrained}
    tables = {"": site} if site == control or not control else {" on the trained model": site}
    if tables.keys() != {""}:
        tables[" on the model with random weights"] = control
    return [
        " or ".join(f"{n} of {wanted}" for n, wanted in sorted(counts))
        + f" chosen features of each dictionary{where}: stopped at a spending cap, or unanswered by a server."
        for where, counts in tables.items()
        if any(n < wanted for n, wanted in counts)
    ]


def _left_out(scorer: Scorer, scores: Sequence[Scores]) -> str:
    def count(status: str) -> int:
        return sum(row.statuses.get(status, 0) for row in scores)

    parts = [f"{count('dead')} dead"]
    if not scorer.is_correlation:
        parts.append(f"{count('too_few')} with too few fragments of a kind")
    else:
        parts.append(f"{count('too_few')} firing in too few fragments")
        parts.append(f"{count('truth_constant')} with constant activation")
    if scorer.is_llm:
        parts.append(f"{count('failed')} without a usable answer")
    constant = "a constant prediction" if scorer.is_correlation else "one and the same answer to all"
    return f"Left out: {', '.join(parts)}; {constant} counts as {scorer.measure.chance:g} ({count('pred_constant')})."


def _failed(scores: Sequence[Scores]) -> list[str]:
    """Failed features are missing, not bad: what the mean would be at worst and at best."""
    doubtful = []
    for row in scores:
        failed = row.statuses.get("failed", 0)
        if failed > MOST_FAILED * row.sampled:
            known, n = float(np.sum(row.values)), len(row.values) + failed
            doubtful.append(
                f"{_plain(row.label)} ({failed} of {row.sampled}) {known / n:.3f} and {(known + failed) / n:.3f}"
            )
    if not doubtful:
        return []
    return [
        f"Warning: more than {MOST_FAILED * 100:g} % of the features have no usable answer; "
        f"means if those scored 0 and 1: {'; '.join(doubtful)}."
    ]


def _controls(scores: Sequence[Scores]) -> list[str]:
    """The random-weights control, beside the dictionary of the same settings on the trained model."""
    found = []
    for row in scores:
        if not row.untrained:
            continue
        same = next((other for other in scores if other.name == row.name and other.role in ("plain", "twin")), None)
        sentence = f"Control: {row.described}, trained in the same way on the model with random weights"
        sentence += f", scores {_interval(row)}" if len(row.values) else ": no feature could be scored"
        if same is None:
            sentence += "; the trained model has no scored dictionary of these settings"
        elif len(same.values):
            sentence += f"; with the same settings on the trained model {_interval(same)}"
        if same is not None and row.mean >= same.low:
            sentence += ", so a score as high as this does not show that the model learned anything"
        found.append(sentence + ".")
    return found


def _interval(row: Scores) -> str:
    return f"{row.mean:z.3f} [{row.low:z.3f}, {row.high:z.3f}]"

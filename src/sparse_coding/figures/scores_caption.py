"""What the caption says about panel c: what was scored, by whom, what is left out, and what the controls tell."""

from collections.abc import Sequence

import numpy as np

from sparse_coding.figures.scorers import SOURCES, Scorer
from sparse_coding.figures.scores import Scores

MOST_FAILED = 0.02  # share of a dictionary's features without an answer, above which its mean is in doubt
_ASKED = {"chat": "a fragment a call", "per_token": "a token a call", "echo": "a fragment a call, echoed"}
_TOLD_APART = {
    "detection": "texts in which the feature fires from texts in which it does not",
    "fuzzing": "texts in which the tokens that switch the feature on are marked from texts in which other tokens are",
}


def sentences(scorer: Scorer, scores: Sequence[Scores], n_learned: int) -> str:
    """The paragraph for c; `n_learned` learned dictionaries were scored."""
    if not scores:
        return "(c) No dictionary was scored."
    return " ".join(
        [
            *_scorer(scorer),
            *_shown(scores, n_learned),
            *_partial(scores),
            _left_out(scorer, scores),
            *_failed(scores),
            "PCA, ICA, the neuron basis and random directions hold each direction as +d and −d, codes rectified.",
            *_controls(scores),
        ]
    )


def _scorer(scorer: Scorer) -> list[str]:
    measure = "the correlation of true and predicted activation"
    if scorer.is_classifier:
        measure = "the balanced accuracy of the judge's answers"
    chosen = {"sample": "a uniform sample of features", "first": "the first features (no sample)"}[scorer.choice]
    found = [
        f"(c) Scorer: {scorer.name}. For {chosen}, {measure}; dot and bar: mean and 95 % bootstrap interval over "
        "features; n: features scored of those chosen; dashed line: random directions."
    ]
    if scorer.scorer == "token-rules":
        found.append("It measures surface repeatability (does a feature fire on the same tokens again?), not meaning.")
    if scorer.is_llm:
        found += _models(scorer)
    return found


def _models(scorer: Scorer) -> list[str]:
    if scorer.is_classifier:
        task = f"tell {_TOLD_APART[scorer.scorer]}, equally many of each: chance, the full line, is {scorer.chance}"
        how = ""
    else:
        task = f"predict the activation on each token ({_ASKED[scorer.simulator]})"
        how = f", mode {scorer.mode}"
    return [
        f"{scorer.explainer} explained each feature in words, {scorer.judge} judged: "
        f"by the words alone it had to {task}.",
        f"Source of the scores: {SOURCES[scorer.source]}, {scorer.why}; prompts {scorer.prompts}{how}.",
        "Not comparable with token-rules scores, with another judge, or with published scores of other simulators.",
    ]


def _shown(scores: Sequence[Scores], n_learned: int) -> list[str]:
    shown = sum(row.group == "learned" for row in scores)
    if shown >= n_learned:
        return []
    return [
        f"Shown: {shown} of {n_learned} scored learned dictionaries, of middle L1 or k and evenly spaced; "
        "the table has all."
    ]


def _partial(scores: Sequence[Scores]) -> list[str]:
    """Where a run stopped at a cap; the control is a run of its own."""
    site = {(row.sampled, row.wanted) for row in scores if not row.untrained}
    control = {(row.sampled, row.wanted) for row in scores if row.untrained}
    tables = {"": site} if site == control or not control else {" on the trained model": site}
    if tables.keys() != {""}:
        tables[" on the model with random weights"] = control
    return [
        " or ".join(f"{n} of {wanted}" for n, wanted in sorted(counts))
        + f" chosen features of each dictionary{where}: stopped at a spending cap."
        for where, counts in tables.items()
        if any(n < wanted for n, wanted in counts)
    ]


def _left_out(scorer: Scorer, scores: Sequence[Scores]) -> str:
    def count(status: str) -> int:
        return sum(row.statuses.get(status, 0) for row in scores)

    parts = [f"{count('dead')} dead"]
    if scorer.is_classifier:
        parts.append(f"{count('too_few')} with too few fragments of a kind")
    else:
        parts.append(f"{count('too_few')} firing in too few fragments")
        parts.append(f"{count('truth_constant')} with constant activation")
    if scorer.is_llm:
        parts.append(f"{count('failed')} without a usable answer")
    constant = "one and the same answer to all" if scorer.is_classifier else "a constant prediction"
    return f"Left out: {', '.join(parts)}; {constant} counts as {scorer.chance:g} ({count('pred_constant')})."


def _failed(scores: Sequence[Scores]) -> list[str]:
    """Failed features are missing, not bad: what the mean would be at worst and at best."""
    doubtful = []
    for row in scores:
        failed = row.statuses.get("failed", 0)
        if failed > MOST_FAILED * row.sampled:
            known, n = float(np.sum(row.values)), len(row.values) + failed
            doubtful.append(
                f"{row.label.replace(chr(10), ' ')} ({failed} of {row.sampled}) {known / n:.3f} and "
                f"{(known + failed) / n:.3f}"
            )
    if not doubtful:
        return []
    return [
        f"Warning: more than {MOST_FAILED * 100:g} % of the features have no usable answer; "
        f"means if those scored 0 and 1: {'; '.join(doubtful)}."
    ]


def _controls(scores: Sequence[Scores]) -> list[str]:
    """The random-weights control, beside the same dictionary on the trained model."""
    found = []
    for row in scores:
        if not row.untrained:
            continue
        same = next((other for other in scores if other.group == "learned" and other.name == row.name), None)
        sentence = f"Control: the same dictionary on the model with random weights scores {_interval(row)}"
        if same is not None:
            sentence += f", on the trained model {_interval(same)}"
        if same is not None and row.mean >= same.low:
            sentence += (
                ", so a high score shows that sparse dictionaries find repeatable directions, not that the model "
                "learned them"
            )
        found.append(sentence + ".")
    return found


def _interval(row: Scores) -> str:
    return f"{row.mean:z.3f} [{row.low:z.3f}, {row.high:z.3f}]"

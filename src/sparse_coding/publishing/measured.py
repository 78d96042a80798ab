"""What was measured of a dictionary, for its card: each number with its unit, its interval and what it is of."""

from sparse_coding import variants
from sparse_coding.interp.measures import BY_SCORER
from sparse_coding.publishing.markdown import table
from sparse_coding.publishing.subject import Row, Subject

LOSSES = {"next_token": "of the next token", "masked": "of masked tokens"}


def brief(subject: Subject) -> list[str]:
    """L0, FVU, loss recovered and the mean score: a cell each, empty where there is none."""
    row = subject.row
    cells = [_with_interval(row, name, digits) for name, digits in (("l0", 1), ("fvu", 3), ("loss_recovered", 2))]
    score = next((f"{each['scorer']} {_mean(each)}" for each in subject.own_means if each["mean"] is not None), "")
    return [*cells, score]


def table_of(subject: Subject) -> str:
    """A table with all that evaluation found."""
    return table(["measured on held-out text", "value [95 % interval]", "what it is"], _rows(subject.row))


def _rows(row: Row) -> list[list[str]]:
    n = f"{row['n_vectors']:,} vectors"
    found = [
        ["L0", _with_interval(row, "l0", 2), f"mean number of features that fire on a vector; {n}"],
        ["FVU", _with_interval(row, "fvu", 4), "share of the variance that the reconstruction misses: 0 is perfect"],
        ["dead features", f"{row['dead']} of {row['n_feat']}", f"that fire on none of the {n}"],
        ["loss recovered", _with_interval(row, "loss_recovered", 3),
         "1: the model does not notice the reconstruction; 0: no better than the mean vector"],
        ["cross-entropy", _with_interval(row, "ce", 3), _of_loss(row)],
        ["KL divergence", _with_interval(row, "kl", 3),
         "nats a token, from the predictions of the untouched model to those with the reconstruction"],
        ["FVU of final states", _with_interval(row, "final_fvu", 4), "of the last hidden states of the model"],
    ]  # fmt: skip
    return [each for each in found if each[1]]


def _of_loss(row: Row) -> str:
    if row["ce"] is None:
        return ""
    of = LOSSES.get(row["loss_kind"] or "", "")
    said = (
        f"nats a token, {of}, with the reconstruction, on {row['n_tokens']:,} tokens; untouched {row['ce_clean']:.3f}"
    )
    return f"{said}, with the mean vector {row['ce_mean_ablated']:.3f}"


def _with_interval(row: Row, name: str, digits: int) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return ""
    return f"{value:.{digits}f}" + ("" if low is None else f" [{low:.{digits}f}, {high:.{digits}f}]")


def _mean(row: Row) -> str:
    ends = "" if row["mean_low"] is None else f" [{row['mean_low']:.2f}, {row['mean_high']:.2f}]"
    return f"{row['mean']:.2f}{ends}"


def scores(subject: Subject) -> list[str]:
    """Mean scores of explanations, with those that they are to be read beside; that there are none, where so."""
    if not subject.own_means:
        return ["Its features were not explained."]
    rows = [_score_row(row, subject) for row in subject.means if row["mean"] is not None]
    said = "Scores of explanations, means over features"
    said += "" if subject.is_plain else ", of the dictionary as it was trained, before its refit"
    measures = dict.fromkeys(_measure(row) for row in subject.means)
    head = ["of", "mean score [95 % interval]", "scorer", "explained by", "judged by", "features"]
    return [f"{said}: {'; '.join(measures)}.", table(head, rows)]


def _score_row(row: Row, subject: Subject) -> list[str]:
    is_own = row["name"] == subject.name and row["site"] == subject.site
    if is_own and row["condition"] == variants.PLAIN:
        of = "**this dictionary**"
    elif row["site"] != subject.site:
        of = f"**control**: `{row['name']}` of the model with random weights"
    elif is_own:
        of = f"control: {str(row['condition']).replace('_', ' ')}"
    else:
        of = f"baseline: {row['name']}"
    counted = f"{row['scored']} scored of {row['sampled']}"
    counted += "".join(
        f", {row[name]} {said}" for name, said in (("dead", "dead"), ("too_few", "too rare")) if row[name]
    )
    return [of, _mean(row), str(row["scorer"]), str(row["explainer"]), str(row["judge"]), counted]


def _measure(row: Row) -> str:
    measure = BY_SCORER.get(str(row["scorer"]))
    name = str(row["score"]).replace("_", " ")
    what = "correlation of predicted and true codes" if row["score"] == "top_and_random" else name
    chance = "" if measure is None else f" (1 at most; {measure.chance:g} by chance)"
    return f"{row['scorer']} gives the {what}{chance}"

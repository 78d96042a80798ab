"""The scores of a site's dictionaries as means over features: a line each, with what the means leave out."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from sparse_coding import roles
from sparse_coding.interp.measures import BY_SCORER, CORRELATION, SCORED, Measure
from sparse_coding.interp.statistics import (
    Interval,
    difference_interval,
    holm,
    mean_interval,
    permutation_p,
    weighted_mean_interval,
)

Row = Mapping[str, Any]

SEED = 0  # of every resampling: the same rows give the same lines
PLAIN = "plain"  # the condition under which dictionaries are compared
UNFIT = ("dead", "too_few")  # nothing about them could be tested
STATUSES = (*UNFIT, "truth_constant", "pred_constant", "failed")
LOWEST, HIGHEST = 0.0, 1.0  # what a failed feature may have scored
WEAKEST = "weakest"  # what firing texts are told from where a feature is hardly ever silent

# Scores that differ in any of these are not comparable, and rows that differ in any of ABOUT are not put together.
ASKED = ("site", "scorer", "explainer", "judge", "simulator", "source", "mode", "choice", "prompts", "shown", "server")
ABOUT = ("name", "kind", "ratio", "l1", "k", "l0_target", "seed", "control", "condition", "wanted", *ASKED)

COLUMNS = (
    *("site", "name", "kind", "ratio", "l1", "k", "l0_target", "seed", "control", "condition"),
    *("scorer", "explainer", "judge", "simulator", "source", "mode", "choice", "prompts"),
    *("score", "wanted", "sampled", "scored", *STATUSES),
    *("mean", "mean_low", "mean_high"),
    *("mean_dead_zero", "mean_dead_zero_low", "mean_dead_zero_high"),
    *("mean_by_frequency", "mean_by_frequency_low", "mean_by_frequency_high"),
    *("mean_failed_low", "mean_failed_high"),
    *("top", "n_top", "random", "n_random", "random_dropped", "n_random_dropped"),
    *("difference", "difference_low", "difference_high", "p", "p_holm"),
)
JUDGED_COLUMNS = (
    *COLUMNS[: COLUMNS.index("score")],
    *("shown", "server", "score", "wanted", "sampled", "scored", *STATUSES, "weakest"),
    *COLUMNS[COLUMNS.index("mean") :],
    *("mean_weakest", "mean_others", "mean_others_low", "mean_others_high"),
    *("by_probabilities", "by_probabilities_low", "by_probabilities_high", "n_by_probabilities"),
)


@dataclass(frozen=True, eq=False)
class _Part:
    """The rows of one line, in the order of their features."""

    about: Row
    measure: Measure
    rows: Sequence[Row]

    @cached_property
    def scored(self) -> list[Row]:
        return [row for row in self.rows if row["status"] in SCORED and row[self.measure.column] is not None]

    @cached_property
    def values(self) -> Float[np.ndarray, " feature"]:
        return np.array([row[self.measure.column] for row in self.scored], np.float64)

    @property
    def is_control(self) -> bool:
        """Whether something was held in its training, to see what that adds: one of `grid.controls`."""
        return self.about["control"] is not None

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(row["status"] for row in self.rows)


def means(rows: Iterable[Row], resamples: int) -> list[dict[str, Any]]:
    """A line for each name, condition and source in the rows of a site's table: COLUMNS, or JUDGED_COLUMNS.

    score: the column that is averaged; sampled: rows; scored: those with a value.
    mean: over scored features, as in the original (Cunningham et al. 2023).
    mean_dead_zero: dead and too_few count as what knowing nothing gives: 0 for a correlation; chance, 0.5, for a
        balanced accuracy or an AUC, and 0.2 for intruders. failed and truth_constant stay missing.
    mean_by_frequency: over scored features, weighted by the number of fragments on which each fires.
    mean_failed_low, mean_failed_high: `mean`, had all failed features scored 0, or 1.
    top, random: means over the features where they are defined, n_... many; a constant prediction counts as 0, and
        random_dropped leaves it out (a correlation of exactly 0 has no other cause). None for other scores.
    weakest: scored features that are hardly ever silent, so that their strongest fragments, or tokens, were held
        against their weakest; mean_weakest: over them alone; mean_others: over the others alone.
    by_probabilities: mean AUC of a classifier, or mean probability of the right intruder, over the
        n_by_probabilities features whose answers came with probabilities.
    difference: of `mean`, to the `random` dictionary of the same table and source; p: of a permutation test; p_holm:
        corrected over all dictionaries of that table and source but controls (`control`), which have none: nothing is
        claimed of these. None for the reference itself, where there is none, and for other conditions than `plain`.

    `_low` and `_high` are ends of 95 % bootstrap intervals. Where nothing was scored, all numbers but counts are None.
    Neither the order of `rows` nor their company, but for p_holm, changes a line.
    """
    groups = defaultdict(list)
    names: tuple[str, ...] = COLUMNS
    for row in rows:
        names = JUDGED_COLUMNS if "shown" in row else names
        groups[tuple(row.get(column) for column in ABOUT)].append(row)
    parts = [_part(dict(zip(ABOUT, key, strict=True)), groups[key]) for key in sorted(groups, key=str)]
    differences = _differences(parts, resamples)
    lines = [_counted(part) | _averaged(part, resamples) | differences.get(part, {}) for part in parts]
    return [{name: line.get(name) for name in names} for line in lines]


def _part(about: Row, rows: list[Row]) -> _Part:
    return _Part(about, BY_SCORER[about["scorer"]], sorted(rows, key=lambda row: row["feature"]))


def _counted(part: _Part) -> dict[str, Any]:
    numbers = {status: part.counts[status] for status in STATUSES}
    numbers["weakest"] = sum(row.get("negatives") == WEAKEST for row in part.scored)
    return {
        **part.about,
        "score": part.measure.column,
        "sampled": len(part.rows),
        "scored": len(part.scored),
        **numbers,
    }


def _averaged(part: _Part, resamples: int) -> dict[str, Any]:
    values = part.values
    if not len(values):
        return {}
    unfit = np.full(sum(part.counts[status] for status in UNFIT), part.measure.chance)
    fires = [row["n_firing_fragments"] for row in part.scored]
    found: dict[str, Any] = {
        **_named("mean", mean_interval(values, resamples, SEED)),
        **_named("mean_dead_zero", mean_interval(np.append(values, unfit), resamples, SEED)),
        **_named("mean_by_frequency", weighted_mean_interval(values, fires, resamples, SEED)),
    }
    for end, score in (("low", LOWEST), ("high", HIGHEST)):
        found[f"mean_failed_{end}"] = _mean([*values, *[score] * part.counts["failed"]])
    return found | (_by_fragments(part) if part.measure == CORRELATION else _apart(part, resamples))


def _apart(part: _Part, resamples: int) -> dict[str, Any]:
    """Features whose negatives are their weakest apart from the others; and what probabilities say."""
    weak = np.array([row.get("negatives") == WEAKEST for row in part.scored])
    found: dict[str, Any] = {"mean_weakest": _mean(part.values[weak].tolist())}
    if not weak.all():
        found |= _named("mean_others", mean_interval(part.values[~weak], resamples, SEED))
    column = part.measure.by_probabilities or ""
    likely = np.array([row[column] for row in part.scored if row.get(column) is not None], np.float64)
    if len(likely):
        found |= _named("by_probabilities", mean_interval(likely, resamples, SEED))
    return found | {"n_by_probabilities": len(likely)}


def _by_fragments(part: _Part) -> dict[str, Any]:
    top, random = ([row[column] for row in part.scored if row[column] is not None] for column in ("top", "random"))
    found: dict[str, Any] = {}
    for name, scores in (("top", top), ("random", random), ("random_dropped", [score for score in random if score])):
        found |= {name: _mean(scores), f"n_{name}": len(scores)}
    return found


def _differences(parts: Sequence[_Part], resamples: int) -> dict[_Part, dict[str, Any]]:
    """What compares a part with the reference of its family, where there is one."""
    families = defaultdict(list)
    for part in parts:
        if part.about["condition"] == PLAIN and len(part.values):
            families[tuple(part.about[column] for column in ASKED)].append(part)
    found = {}
    for family in families.values():
        reference = next((part for part in family if part.about["name"] == roles.REFERENCE), None)
        if reference is not None:
            others = [part for part in family if part is not reference]
            p = {part: permutation_p(part.values, reference.values, resamples, SEED) for part in others}
            claims = [part for part in others if not part.is_control]
            corrected = dict(zip(claims, map(float, holm([p[part] for part in claims])), strict=True))
            for part in others:
                difference = difference_interval(part.values, reference.values, resamples, SEED)
                found[part] = {**_named("difference", difference), "p": p[part], "p_holm": corrected.get(part)}
    return found


def _named(name: str, interval: Interval) -> dict[str, float]:
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if len(values) else None

"""Panel c: how well explanations predict the features of each method, as one violin a dictionary."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from sparse_coding import methods, roles, variants
from sparse_coding.core.metrics import headline
from sparse_coding.core.metrics.soundness import DOUBTFUL
from sparse_coding.figures.style import Look, control_of, look, method
from sparse_coding.interp.measures import SCORED

MOST_LEARNED = 9  # more rows than this cannot be read, but where there are more kinds; the table has them all
MOST_HELD = 6  # of those beside them that something was held of
RANDOM_WEIGHTS = "random-weights model"

Group = Literal["learned", "published", "baselines", "controls"]
Role = Literal["plain", "null", "twin", "untrained", "held"]
Interval = Callable[[np.ndarray], tuple[float, float, float]]

_PREFIX = {
    "plain": "",
    "null": "shuffled null,\n",
    "twin": "trained model,\n",
    "untrained": f"{RANDOM_WEIGHTS},\n",
    "held": "",
}


@dataclass(frozen=True, eq=False)
class Scores:
    """The scored features of one dictionary under one condition.

    described: its settings in words. role: `null`, `untrained` and `held` (core.controls) are controls, `twin` is the
    dictionary that `untrained` has the settings of, where it is not among the learned rows. values: one score a
    feature. mean, low, high: with its 95 % interval; NaN without scores. statuses: how many of the sampled features
    have each status. wanted: how many were to be sampled; a cap leaves fewer. l0, dead_share: measured on held-out
    vectors; NaN where they were not, as of `untrained`. broken: what is wrong with it, else empty.
    weakest: scored features that are hardly ever silent, so that their weakest texts stand for silent ones.
    """

    name: str
    described: str
    group: Group
    role: Role
    look: Look
    values: np.ndarray
    mean: float
    low: float
    high: float
    statuses: dict[str, int]
    wanted: int
    l0: float
    dead_share: float
    broken: str
    weakest: int = 0

    @property
    def label(self) -> str:
        """Its name in the panel."""
        return _PREFIX[self.role] + self.described

    @property
    def sampled(self) -> int:
        """Features in the sample, scored or not."""
        return sum(self.statuses.values())

    @property
    def untrained(self) -> bool:
        """Whether its activations are those of the model with random weights."""
        return self.role == "untrained"

    @property
    def doubt(self) -> str:
        """Why its mean tells little, in few words; empty where it tells something."""
        dead = self.statuses.get("dead", 0) / self.sampled if np.isnan(self.dead_share) else self.dead_share
        unscored = 1 - len(self.values) / self.sampled
        words = [dead_words(dead)] if dead > DOUBTFUL else []
        words += [f"{100 * unscored:.0f} % unscored"] if unscored > DOUBTFUL else []
        wrong = "not of this site" if self.group == "published" else "broken"
        return ", ".join([*([wrong] if self.broken else []), *words])


def dead_words(share: float) -> str:
    """A share of dead features in few words."""
    return f"{100 * share:.0f} % dead"


def rows(
    autointerp: pd.DataFrame,
    control: pd.DataFrame | None,
    evaluation: pd.DataFrame,
    column: str,
    interval: Interval,
) -> list[Scores]:
    """The rows of the panel: chosen learned dictionaries, all that were trained elsewhere, baselines, controls.

    column: of the scores; the tables hold one source. `interval` gives mean, low and high of an array of scores.
    """
    plain = autointerp[autointerp["condition"] == "plain"]
    null = autointerp[autointerp["condition"] == "shuffled_null"]
    evaluated = evaluation[evaluation["variant"] == variants.PLAIN].drop_duplicates("name").set_index("name")

    def row(table: pd.DataFrame, name: str, group: Group, role: Role = "plain") -> Scores:
        measured = None if role == "untrained" or name not in evaluated.index else evaluated.loc[name]
        return _row(table[table["name"] == name], column, _ratios(plain), group, role, interval, measured)

    elsewhere = [str(name) for name in plain.loc[plain["kind"].map(methods.is_published).astype(bool), "name"].unique()]
    learned = chosen(plain, {str(name): float(l0) for name, l0 in evaluated["l0"].items()})
    found = [row(plain, name, "learned") for name in learned]
    found += [row(plain, name, "published") for name in elsewhere]
    kinds = plain.drop_duplicates("name").set_index("kind")["name"]
    found += [row(plain, kinds[kind], "baselines") for kind in _baselines() if kind in kinds]
    if roles.REFERENCE in kinds:
        found.append(row(plain, kinds[roles.REFERENCE], "controls"))
    found += [row(plain, name, "controls", "held") for name in held(plain, learned)]
    found += [row(null, name, "controls", "null") for name in null["name"].unique()]
    if control is not None:
        for name in control["name"].unique():
            found += [row(plain, name, "controls", "twin")] if name in set(plain["name"]) - set(learned) else []
            found.append(row(control, name, "controls", "untrained"))
    return found


def _baselines() -> list[str]:
    """In the order of the panel: first those that read out by another matrix than they write with."""
    others = [kind for kind in methods.BASELINES if kind != roles.REFERENCE]
    return sorted(others, key=lambda kind: -methods.of(kind).matrices)


def _row(
    table: pd.DataFrame,
    column: str,
    ratios: dict[str, list[float]],
    group: Group,
    role: Role,
    interval: Interval,
    measured: Any,
) -> Scores:
    first = table.iloc[0]
    ratio = None if pd.isna(first["ratio"]) else float(first["ratio"])
    usable = table[table["status"].isin(SCORED)]
    values = usable[column].to_numpy(dtype=float)
    mean, low, high = interval(values) if len(values) else (np.nan, np.nan, np.nan)
    known = measured is not None
    return Scores(
        name=first["name"],
        described=described(table, first["name"]),
        group=group,
        role=role,
        look=look(first["kind"], ratio, ratios.get(first["kind"], [])),
        values=values,
        mean=mean,
        low=low,
        high=high,
        statuses={str(status): int(count) for status, count in table["status"].value_counts().items()},
        wanted=int(first["wanted"]),
        l0=float(measured["l0"]) if known else np.nan,
        dead_share=float(measured["dead"] / measured["n_feat"]) if known else np.nan,
        broken=measured["broken"] if known and pd.notna(measured["broken"]) else "",
        weakest=int((usable["negatives"] == "weakest").sum()) if "negatives" in usable else 0,
    )


def _ratios(table: pd.DataFrame) -> dict[str, list[float]]:
    learned = table[table["kind"].isin(methods.LEARNED)]
    return {str(kind): [float(r) for r in part["ratio"].dropna().unique()] for kind, part in learned.groupby("kind")}


def described(table: pd.DataFrame, name: str) -> str:
    """A dictionary in words, e.g. `tied r4, L1 0.002`."""
    first = table[table["name"] == name].iloc[0]
    ratio = None if pd.isna(first["ratio"]) else float(first["ratio"])
    words = method(first["kind"], ratio, control_of(first["control"]))
    row = methods.of(first["kind"])
    if methods.is_published(first["kind"]):
        return f"{name} ({methods.architecture_of(first['kind'])})"
    if row.strength is None:
        return words + ("" if pd.isna(first["k"]) else row.variant(int(first["k"])))
    return f"{words}, {methods.in_words(dict(first))}"


def chosen(plain: pd.DataFrame, l0: dict[str, float]) -> list[str]:
    """The learned dictionaries that panels c and d show, whatever they scored.

    From each cell, of its first seed, the one whose measured L0 is nearest to the usual one; among more cells than
    MOST_LEARNED, and than there are kinds, evenly spaced ones.
    """
    learned = plain[plain["kind"].isin(methods.LEARNED) & plain["control"].isna()].drop_duplicates("name")
    names, kinds = [], learned["kind"].nunique()
    for kind in methods.LEARNED:
        for _, cell in learned[learned["kind"] == kind].groupby("ratio"):
            members = cell.loc[cell["seed"] == cell["seed"].min(), "name"]
            nearest = headline.nearest({"name": name, "l0": l0.get(name, 0.0)} for name in members)
            names += [nearest["name"]] if nearest else []
    return _some(names, max(MOST_LEARNED, kinds))


def held(plain: pd.DataFrame, learned: list[str]) -> list[str]:
    """The scored controls (core.controls) of the `learned` dictionaries: of their kind, size, strength and seed."""
    about = plain[plain["kind"].isin(methods.LEARNED)].drop_duplicates("name")
    names = []
    for _, own in about[about["name"].isin(learned)].iterrows():
        same = about[about["control"].notna()]
        for column in ("kind", "ratio", "l1", "k", "l0_target", "seed"):
            same = same[same[column].isna() if pd.isna(own[column]) else same[column] == own[column]]
        names += list(same["name"])
    return _some(names, MOST_HELD)


def _some(names: list[str], most: int) -> list[str]:
    """All, or so many of them, evenly spaced."""
    if len(names) <= most:
        return names
    return [names[place] for place in np.linspace(0, len(names) - 1, most).round().astype(int)]


def n_learned(autointerp: pd.DataFrame) -> tuple[int, int]:
    """How many learned dictionaries were scored, and of how many kinds and sizes; without controls."""
    learned = autointerp[autointerp["kind"].isin(methods.LEARNED) & autointerp["control"].isna()]
    return int(learned["name"].nunique()), len(learned[["kind", "ratio"]].drop_duplicates())

"""Panel c: how well explanations predict the features of each method, as one violin a dictionary."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from sparse_coding.figures.style import LEARNED, Look, look, method

MOST_LEARNED = 9  # more rows than this cannot be read; the table has them all
SCORED = ("ok", "pred_constant")
RANDOM_WEIGHTS = "random-weights model"
_BASELINES = ("ica", "pca", "nmf", "neuron_basis")

Group = Literal["learned", "baselines", "controls"]
Interval = Callable[[np.ndarray], tuple[float, float, float]]


@dataclass(frozen=True, eq=False)
class Scores:
    """The scored features of one dictionary under one condition.

    values: one score a feature. mean, low, high: with its 95 % interval; NaN without scores. statuses: how many of the
    sampled features have each status. wanted: how many were to be sampled; a cap leaves fewer.
    """

    name: str
    label: str
    group: Group
    look: Look
    values: np.ndarray
    mean: float
    low: float
    high: float
    statuses: dict[str, int]
    wanted: int

    @property
    def sampled(self) -> int:
        """Features in the sample, scored or not."""
        return sum(self.statuses.values())

    @property
    def untrained(self) -> bool:
        """Whether its activations are those of the model with random weights."""
        return self.label.startswith(RANDOM_WEIGHTS)


def rows(autointerp: pd.DataFrame, control: pd.DataFrame | None, column: str, interval: Interval) -> list[Scores]:
    """The rows of the panel: chosen learned dictionaries, baselines, controls.

    column: of the scores; the tables hold one source. `interval` gives mean, low and high of an array of scores.
    """
    plain = autointerp[autointerp["condition"] == "plain"]
    null = autointerp[autointerp["condition"] == "shuffled_null"]

    def row(table: pd.DataFrame, name: str, group: Group, label: str | None = None) -> Scores:
        return _row(table[table["name"] == name], column, _ratios(plain), group, label, interval)

    keep = set() if control is None else set(control["name"])
    found = [row(plain, name, "learned") for name in chosen(plain, keep)]
    kinds = plain.drop_duplicates("name").set_index("kind")["name"]
    found += [row(plain, kinds[kind], "baselines") for kind in _BASELINES if kind in kinds]
    if "random" in kinds:
        found.append(row(plain, kinds["random"], "controls"))
    for name in null["name"].unique():
        found.append(row(null, name, "controls", f"shuffled null,\n{described(null, name)}"))
    if control is not None:
        for name in control["name"].unique():
            found.append(row(control, name, "controls", f"{RANDOM_WEIGHTS},\n{described(control, name)}"))
    return found


def _row(
    table: pd.DataFrame,
    column: str,
    ratios: dict[str, list[float]],
    group: Group,
    label: str | None,
    interval: Interval,
) -> Scores:
    first = table.iloc[0]
    ratio = None if pd.isna(first["ratio"]) else float(first["ratio"])
    values = table.loc[table["status"].isin(SCORED), column].to_numpy(dtype=float)
    mean, low, high = interval(values) if len(values) else (np.nan, np.nan, np.nan)
    return Scores(
        name=first["name"],
        label=label or described(table, first["name"]),
        group=group,
        look=look(first["kind"], ratio, ratios.get(first["kind"], [])),
        values=values,
        mean=mean,
        low=low,
        high=high,
        statuses={str(status): int(count) for status, count in table["status"].value_counts().items()},
        wanted=int(first["wanted"]),
    )


def _ratios(table: pd.DataFrame) -> dict[str, list[float]]:
    learned = table[table["kind"].isin(LEARNED)]
    return {str(kind): [float(r) for r in part["ratio"].dropna().unique()] for kind, part in learned.groupby("kind")}


def described(table: pd.DataFrame, name: str) -> str:
    """A dictionary in words, e.g. `tied r4, L1 0.002`."""
    first = table[table["name"] == name].iloc[0]
    words = method(first["kind"], None if pd.isna(first["ratio"]) else float(first["ratio"]))
    if first["kind"] not in LEARNED:
        return words + ("" if pd.isna(first["k"]) else f" top-{int(first['k'])}")
    return words + (f", k {int(first['k'])}" if pd.notna(first["k"]) else f", L1 {float(first['l1']):g}")


def chosen(plain: pd.DataFrame, keep: Collection[str] = ()) -> list[str]:
    """The learned dictionaries that panels c and d show, whatever they scored.

    From each cell the one of middle L1 or k, of the first seed; among more than MOST_LEARNED cells, evenly spaced ones.
    Those in `keep` stay: a control is compared with them.
    """
    learned = plain[plain["kind"].isin(LEARNED)].drop_duplicates("name")
    learned = learned.assign(strength=learned["l1"].astype(float).fillna(learned["k"].astype(float)))
    names = []
    for kind in LEARNED:
        for _, cell in learned[learned["kind"] == kind].groupby("ratio"):
            members = cell[cell["seed"] == cell["seed"].min()].sort_values("strength")
            kept = [name for name in cell["name"] if name in keep]
            names.append(kept[0] if kept else members["name"].iloc[(len(members) - 1) // 2])
    if len(names) <= MOST_LEARNED:
        return names
    kept, others = [name for name in names if name in keep], [name for name in names if name not in keep]
    places = np.linspace(0, len(others) - 1, MOST_LEARNED - len(kept)).round().astype(int)
    shown = {*kept, *(others[place] for place in places)}
    return [name for name in names if name in shown]


def n_learned(autointerp: pd.DataFrame) -> int:
    """How many learned dictionaries were scored."""
    return int(autointerp.loc[autointerp["kind"].isin(LEARNED), "name"].nunique())

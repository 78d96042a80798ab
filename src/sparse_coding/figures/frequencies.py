"""Panel d: how often the features of each dictionary fire."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sparse_coding.figures.curves import DRAWN_BASELINES
from sparse_coding.figures.scores import described
from sparse_coding.figures.style import Look, look


@dataclass(frozen=True, eq=False)
class Frequencies:
    """values: share of held-out tokens on which each feature that ever fires does so."""

    label: str
    look: Look
    values: np.ndarray
    l0: float
    dead: int
    n_feat: int


def rows(frequency: pd.DataFrame, evaluation: pd.DataFrame, names: list[str]) -> list[Frequencies]:
    """The dictionaries `names`, and of each top-k baseline the one whose L0 is nearest to theirs (on a log scale)."""
    plain = evaluation[evaluation["variant"] == "plain"]
    learned = plain[plain["name"].isin(names)]
    shown = [name for name in names if name in set(learned["name"])]
    if len(learned):
        target = float(np.median(_log_l0(learned)))
        for kind in DRAWN_BASELINES:
            topk = plain[(plain["kind"] == kind) & plain["k"].notna()]
            if len(topk):
                shown.append(topk["name"].iloc[int(np.abs(_log_l0(topk) - target).argmin())])
    return [_row(frequency, plain, name) for name in shown]


def _log_l0(table: pd.DataFrame) -> np.ndarray:
    return np.log(table["l0"].to_numpy(dtype=float).clip(min=1e-3))


def _row(frequency: pd.DataFrame, plain: pd.DataFrame, name: str) -> Frequencies:
    about: Any = next(plain[plain["name"] == name].itertuples())
    ratio = None if pd.isna(about.ratio) else float(about.ratio)
    ratios = [float(value) for value in plain.loc[plain["kind"] == about.kind, "ratio"].dropna().unique()]
    values = frequency.loc[frequency["name"] == name, "frequency"].to_numpy(dtype=float)
    return Frequencies(
        label=described(plain, name),
        look=look(about.kind, ratio, ratios),
        values=values[values > 0],
        l0=float(about.l0),
        dead=int(about.dead),
        n_feat=int(about.n_feat),
    )

"""Panel d: how often the features of each dictionary fire."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sparse_coding import methods, variants
from sparse_coding.core.metrics import headline
from sparse_coding.core.metrics.soundness import DOUBTFUL
from sparse_coding.figures.curves import DRAWN_BASELINES
from sparse_coding.figures.records import records
from sparse_coding.figures.scores import dead_words, described
from sparse_coding.figures.style import Look, look


@dataclass(frozen=True, eq=False)
class Frequencies:
    """values: share of held-out tokens on which each feature that ever fires does so."""

    label: str
    group: str
    look: Look
    values: np.ndarray
    l0: float
    dead: int
    n_feat: int

    @property
    def doubt(self) -> str:
        """Why the row is greyed, in few words."""
        return dead_words(self.dead / self.n_feat) if self.dead > DOUBTFUL * self.n_feat else ""


def rows(frequency: pd.DataFrame, evaluation: pd.DataFrame, names: list[str]) -> list[Frequencies]:
    """The dictionaries `names`, and of each top-k baseline the one whose L0 is nearest to the usual one."""
    plain = evaluation[evaluation["variant"] == variants.PLAIN]
    known = set(plain["name"])
    elsewhere = set(plain.loc[plain["kind"].map(methods.is_published).astype(bool), "name"])
    found = [
        _row(frequency, plain, name, "published" if name in elsewhere else "learned") for name in names if name in known
    ]
    for kind in DRAWN_BASELINES:
        topk = plain[(plain["kind"] == kind) & plain["k"].notna()]
        if chosen := headline.nearest(records(topk[["name", "l0"]])):
            found.append(_row(frequency, plain, chosen["name"], "baselines"))
    return found


def _row(frequency: pd.DataFrame, plain: pd.DataFrame, name: str, group: str) -> Frequencies:
    about: Any = next(plain[plain["name"] == name].itertuples())
    ratio = None if pd.isna(about.ratio) else float(about.ratio)
    ratios = [float(value) for value in plain.loc[plain["kind"] == about.kind, "ratio"].dropna().unique()]
    values = frequency.loc[frequency["name"] == name, "frequency"].to_numpy(dtype=float)
    return Frequencies(
        label=described(plain, name),
        group=group,
        look=look(about.kind, ratio, ratios),
        values=values[values > 0],
        l0=float(about.l0),
        dead=int(about.dead),
        n_feat=int(about.n_feat),
    )

"""What one figure is about: the facts in its title and caption."""

from dataclasses import dataclass

import pandas as pd

from sparse_coding.figures.scorers import Scorer


@dataclass(frozen=True)
class Subject:
    """A site and how its dictionaries were measured.

    model: None for imported activations. train_tokens: vectors that dictionaries were trained on, None if unknown.
    held_out: vectors evaluated. ce_clean, ce_ablated: nats a token of the model as it is and with the site's
    activations replaced by their mean; None where no model could be spliced. n_learned: learned dictionaries with
    scores, of which panels c and d may show some only.
    """

    site: str
    model: str | None
    corpus: str | None
    train_tokens: int | None
    held_out: int
    d_act: int
    scorer: Scorer
    ce_clean: float | None
    ce_ablated: float | None
    n_learned: int


def losses(evaluation: pd.DataFrame) -> tuple[float | None, float | None]:
    """`ce_clean` and `ce_ablated` of a site's evaluation table."""
    rows = evaluation.reindex(columns=["ce_clean", "ce_mean_ablated"]).astype(float).dropna()
    if not len(rows):
        return None, None
    return float(rows["ce_clean"].iloc[0]), float(rows["ce_mean_ablated"].iloc[0])

"""What one figure is about: the facts in its title and caption."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd

from sparse_coding.figures.scorers import Scorer
from sparse_coding.settings import sites

Measure = Literal["loss_recovered", "final_fvu"]


@dataclass(frozen=True)
class Kept:
    """What the model keeps, as panel b has it.

    loss_kind: of the evaluation table; None on imported sites. ce_clean, ce_ablated: nats a predicted token of the
    model as it is and with the site's activations replaced by their mean. final_ablated: FVU of the final hidden
    states under the same, of a model without a loss (no head, or no mask token). None: not measured.
    """

    loss_kind: str | None = None
    ce_clean: float | None = None
    ce_ablated: float | None = None
    final_ablated: float | None = None
    has_final: bool = False

    @property
    def measure(self) -> Measure | None:
        """The column that panel b shows; None: there is nothing to show."""
        if self.ce_clean is not None and self.ce_ablated is not None and self.ce_ablated > self.ce_clean:
            return "loss_recovered"
        return "final_fvu" if self.has_final else None

    @property
    def is_masked(self) -> bool:
        """Whether losses are those of masked tokens."""
        return self.loss_kind == "masked"

    @property
    def lacking(self) -> str:
        """Why there is no panel b, where there is none."""
        if self.ce_clean is None or self.ce_ablated is None:
            return "no loss and no final hidden states were measured"
        both = f"{self.ce_ablated:.2f} against {self.ce_clean:.2f} nats a token"  # so of a model that knows nothing yet
        return f"with this site at its mean the model loses no more: {both}"


@dataclass(frozen=True)
class Subject:
    """A site and how its dictionaries were measured.

    model: None for imported activations. train_tokens: how many vectors there are to train on, None if unknown.
    held_out: vectors evaluated. n_learned: learned dictionaries with scores, of which panel c may show some only, and
    how many kinds and sizes these are of.
    advice: what would score a dictionary of a usual L0, where none of a kind has one. map_fvu: of a pair of places, the
    FVU of the whole linear map.
    """

    site: str
    model: str | None
    corpus: str | None
    train_tokens: int | None
    held_out: int
    d_act: int
    scorer: Scorer
    kept: Kept
    n_learned: tuple[int, int]
    advice: tuple[str, ...] = ()
    map_fvu: float | None = None

    @property
    def pair(self) -> tuple[str, ...] | None:
        """The places of a pair; None: the site is one."""
        return sites.places(self.site) if sites.is_pair(self.site) else None

    @property
    def replaced(self) -> str:
        """What reconstructions stand in the place of, in words."""
        return self.pair[-1] if self.pair else "this site"

    @property
    def lacks_kept(self) -> str | None:
        """Why there is no panel b; None where there is."""
        if self.kept.measure is not None:
            return None
        if self.model is None:
            return "imported activations, no model to splice the reconstruction into"
        return self.kept.lacking


def kept(evaluation: pd.DataFrame) -> Kept:
    """What a site's evaluation table says of the model with a reconstruction in it."""
    kinds = evaluation["loss_kind"].dropna().unique()

    def first(column: str) -> float | None:
        values = evaluation[column].astype(float).dropna()
        return float(values.iloc[0]) if len(values) else None

    return Kept(
        loss_kind=str(kinds[0]) if len(kinds) else None,
        ce_clean=first("ce_clean"),
        ce_ablated=first("ce_mean_ablated"),
        final_ablated=first("final_fvu_mean_ablated"),
        has_final=first("final_fvu") is not None,
    )

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

    @property
    def lacks_loss(self) -> tuple[str, str] | None:
        """Why there is no loss recovered, in few words and in a sentence; None where there is."""
        if self.model is None:
            return "no model\nto splice into", "imported activations, no model to splice the reconstruction into"
        if self.ce_clean is None or self.ce_ablated is None:
            return "no next-token\nloss of an encoder", "an encoder has no next-token loss"
        if self.ce_ablated <= self.ce_clean:  # so of a model that knows nothing yet
            both = f"{self.ce_ablated:.2f} against {self.ce_clean:.2f} nats a token"
            return "mean ablation\ncosts nothing", f"with this site at its mean the model loses no more: {both}"
        return None


def losses(evaluation: pd.DataFrame) -> tuple[float | None, float | None]:
    """`ce_clean` and `ce_ablated` of a site's evaluation table."""
    rows = evaluation.reindex(columns=["ce_clean", "ce_mean_ablated"]).astype(float).dropna()
    if not len(rows):
        return None, None
    return float(rows["ce_clean"].iloc[0]), float(rows["ce_mean_ablated"].iloc[0])

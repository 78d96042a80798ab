"""The words under the figure of the toy: how it was made, and what the best dictionaries found."""

from collections.abc import Sequence

import pandas as pd

from sparse_coding import methods
from sparse_coding.core.metrics.over_seeds import over_seeds
from sparse_coding.figures import toy
from sparse_coding.figures.caption import mixed
from sparse_coding.settings.slices.toy import ToyFigureSlice

LOSS = {
    "per_feature": "MSE + L1 x mean ||c||_1 / n_feat, the scale of the toy post",
    "sum": "MSE + L1 x mean ||c||_1, the scale of grid.l1",
}


def title(rows: pd.DataFrame) -> str:
    """What was trained on what."""
    first = rows.iloc[0]
    return (
        f"Toy: what {methods.of(first.architecture).label} dictionaries find of {first.n_true} true features in "
        f"{first.d_act} dimensions"
    )


def text(settings: ToyFigureSlice, rows: pd.DataFrame, environments: Sequence[dict[str, str]] = ()) -> str:
    """The caption: the vectors, the training, the metrics, the best cell of each condition."""
    training, cells = settings.training, toy.means(rows)
    conditions = list(dict.fromkeys(rows["condition"]))
    seeds = ", ".join(str(seed) for seed in sorted(set(rows["seed"])))
    means = f", means over seeds {seeds}" if len(set(rows["seed"])) > 1 else f"; seed {seeds}"
    copula = (
        f", under `correlated` coupled by a Gaussian copula of {training.factors} factors"
        if "correlated" in conditions
        else ""
    )
    noise = f", with noise of {training.noise:g} in each dimension" if training.noise else ""
    paragraphs = [
        f"Vectors are sums of {training.mean_active:g} of {training.true_features} random unit directions on average, "
        f"each {training.decay:g} times as likely as the one before it{copula}; codes are {training.codes} with mean "
        f"1/2{noise}. A cell is a dictionary trained on {training.steps * training.batch:,} vectors, "
        f"{training.steps:,} steps of {training.batch:,}; loss: {LOSS[training.l1_scaling]}{means}.",
        "(a) Mean over true features of the largest cosine with a learned one. (b, c) On "
        f"{training.held_out:,} other vectors: learned features that never fire; squared error over variance. (d) Mean "
        "over learned features of the largest cosine with one of the next larger dictionary of the same L1; hatched: "
        "there is none. Frame: largest in (a).",
        " ".join(_best(rows, toy.best(cells, condition)) for condition in conditions),
        mixed(environments),
    ]
    return "\n".join(words for words in paragraphs if words)


def _best(rows: pd.DataFrame, cell: pd.Series) -> str:
    own = rows[(rows["condition"] == cell.condition) & (rows["ratio"] == cell.ratio) & (rows["l1"] == cell.l1)]
    found = over_seeds(list(own["mmcs"]))
    interval = "" if found.low is None else f" [{found.low:.3f}, {found.high:.3f}] over {len(own)} seeds"
    return (
        f"Best, {cell.condition}: MMCS {found.mean:.3f}{interval} at {cell.ratio:g} learned features per true one and "
        f"L1 {cell.l1:g}, with L0 {cell.l0:.1f}, {100 * cell.dead_share:.0f} % dead and FVU {cell.fvu:.3f}."
    )

"""When a dictionary is broken, whatever it scores: said in the log, the table, the figure and the closing words.

A ReLU member can end so under a few vectors of great length: its bias has run away, nearly nothing fires, and the few
features that do may still score well.
"""

from collections.abc import Mapping
from typing import Any

from sparse_coding import methods

HIGHEST_FVU = 1.0  # above it the mean vector alone would be nearer
HIGHEST_MEAN_ERROR = 0.05  # of one that was trained elsewhere: above it the mean of its vectors is another one
LOWEST_L0 = 1.0  # below it most vectors have no feature at all
MOST_DEAD = 0.5  # share of the features
DOUBTFUL = 0.2  # share of features that are dead, or have no score, above which numbers tell of few of them
SAID = "FVU above 1, L0 below 1 or more than half of the features dead"
SAID_ELSEWHERE = f"as broken ones, or more than {100 * HIGHEST_MEAN_ERROR:g} % of the variance apart in the mean"


def verdict(kind: str) -> str:
    """What is said of a dictionary of which something is wrong: one that was trained elsewhere may be right there."""
    return "does not fit this site" if methods.is_published(kind) else "is broken"


def broken(row: Mapping[str, Any]) -> list[str]:
    """What is wrong with the dictionary of an evaluation `row`, in a few words each; empty where nothing is.

    Reads kind, l0, fvu (None or NaN: not defined), mean_error, dead and n_feat. Dead features count of trained
    dictionaries only: a direction of PCA that is never among the k largest is no fault of its making. A baseline
    without features is what it is. The mean counts of those that were trained elsewhere: theirs may be of other
    vectors.
    """
    fvu: float | None = row["fvu"]
    found: list[str] = []
    if methods.of(row["kind"]).constant:
        return found
    if fvu is not None and fvu > HIGHEST_FVU:
        found.append(f"FVU {fvu:.4g}")
    apart: float | None = row.get("mean_error")
    if methods.is_published(row["kind"]) and apart is not None and apart > HIGHEST_MEAN_ERROR:
        found.append(f"{100 * apart:.0f} % of the variance apart in the mean")
    if row["l0"] < LOWEST_L0:
        found.append(f"L0 {row['l0']:.2g}")
    if methods.is_trained(row["kind"]) and row["dead"] > MOST_DEAD * row["n_feat"]:
        found.append(f"{row['dead']:.0f} of {row['n_feat']:.0f} features dead")
    return found

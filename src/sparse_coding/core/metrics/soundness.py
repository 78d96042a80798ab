"""When a dictionary is broken, whatever it scores: said in the log, the table, the figure and the closing words.

A ReLU member can end so under a few vectors of great length: its bias has run away, nearly nothing fires, and the few
features that do may still score well.
"""

from collections.abc import Mapping
from typing import Any

from sparse_coding import methods

HIGHEST_FVU = 1.0  # above it the mean vector alone would be nearer
LOWEST_L0 = 1.0  # below it most vectors have no feature at all
MOST_DEAD = 0.5  # share of the features
DOUBTFUL = 0.2  # share of features that are dead, or have no score, above which numbers tell of few of them
SAID = "FVU above 1, L0 below 1 or more than half of the features dead"


def broken(row: Mapping[str, Any]) -> list[str]:
    """What is wrong with the dictionary of an evaluation `row`, in a few words each; empty where nothing is.

    Reads kind, l0, fvu (None or NaN: not defined), dead and n_feat. Dead features count of trained dictionaries only:
    a direction of PCA that is never among the k largest is no fault of its making. A baseline without features is
    what it is.
    """
    fvu: float | None = row["fvu"]
    found: list[str] = []
    if methods.of(row["kind"]).constant:
        return found
    if fvu is not None and fvu > HIGHEST_FVU:
        found.append(f"FVU {fvu:.4g}")
    if row["l0"] < LOWEST_L0:
        found.append(f"L0 {row['l0']:.2g}")
    if methods.is_learned(row["kind"]) and row["dead"] > MOST_DEAD * row["n_feat"]:
        found.append(f"{row['dead']:.0f} of {row['n_feat']:.0f} features dead")
    return found

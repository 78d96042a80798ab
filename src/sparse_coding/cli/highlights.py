"""What the closing words say of the dictionaries: which are of a usual L0, which are broken, what is not scored."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sparse_coding.core.metrics import headline, soundness

MOST_NAMED = 6  # broken ones; the table has all

Row = Mapping[str, Any]


def best(rows: Sequence[Row]) -> Row | None:
    """Of the rows that are put forward, a kind each, that of lowest FVU among those that are as near the usual L0.

    None where all are broken.
    """
    chosen = headline.of_each_kind(rows)
    return min(chosen, key=lambda row: (round(headline.octaves(row["l0"]), 1), row["fvu"]), default=None)


def highlights(rows: Sequence[Row], scored: Collection[str] | None) -> list[str]:
    """Lines for a terminal. rows: plain ones of the evaluation table; scored: names, None where nothing could be."""
    chosen = headline.of_each_kind(rows)
    lines = [f"    {row['name']} ({_numbers(row)})" for row in chosen]
    lines += [f"    of {kind} none: {_all(n)} broken" for kind, n in headline.all_broken(rows).items()]
    lines = [f"  Of each kind the nearest to {headline.SAID}:", *lines] if lines else []
    broken = [f"{row['name']} ({row['broken']})" for row in rows if row["broken"]]
    if broken:
        more = f"; and {len(broken) - MOST_NAMED} more" if len(broken) > MOST_NAMED else ""
        lines.append(f"  Broken ({soundness.SAID}): {'; '.join(broken[:MOST_NAMED])}{more}")
    return lines + ([] if scored is None else [f"  {line}" for line in headline.advice(rows, scored)])


def _all(n: int) -> str:
    return "the only one is" if n == 1 else f"all {n} are"


def _numbers(row: Row) -> str:
    found = [f"L0 {row['l0']:.3g}", f"FVU {row['fvu']:.2f}"]
    if row["loss_recovered"] is not None:
        found.append(f"loss recovered {row['loss_recovered']:.0%}")
    elif row["final_fvu"] is not None:
        found.append(f"FVU of the final hidden states {row['final_fvu']:.2f}")
    if row["dead"] > soundness.DOUBTFUL * row["n_feat"]:
        found.append(f"{row['dead']} of {row['n_feat']} features dead")
    return ", ".join(found)

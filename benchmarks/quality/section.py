"""What the lines say: `python -m benchmarks.quality.section` writes the section `quality` of benchmarks/results.json.

Each trainer's kind at its best rate: means over seeds at each L0, read between dictionaries; a curve; and how far ours
is from the best of the others.
"""

import statistics
from typing import Any

from benchmarks import results
from benchmarks.quality import lines
from benchmarks.quality.contract import CHOSEN_AT, EXACT, L0S, SEEDS, Task
from benchmarks.quality.interpolated import at_l0
from benchmarks.quality.plan import Done
from benchmarks.quality.trainers import FAMILIES, OURS, TITLES, Entry

PLAIN = "plain"
Row = dict[str, Any]


def entries_of(there: list[lines.Line]) -> list[Entry]:
    """Every kind of a trainer that has a line, ours first; by family."""
    known = dict.fromkeys((line["trainer"], line["kind"]) for line in there if "trainer" in line)
    kinds = list(dict.fromkeys(FAMILIES.get(kind, kind) for _, kind in known))
    found = [Entry(trainer, kind, EXACT) for trainer, kind in known]
    trainers = list(TITLES)
    return sorted(found, key=lambda each: (kinds.index(each.family), trainers.index(each.trainer), each.kind))


def in_variant(there: list[lines.Line], variant: str) -> list[lines.Line]:
    """The trainings with what was measured of them later; in another variant than the plain one, those that have it."""
    later = {line["of"]: line for line in there if line.get("variant") == variant}
    own = [line for line in there if "trainer" in line]
    joined = [line | later.get(name_of(line), {}) for line in own]
    return joined if variant == PLAIN else [line for line in joined if name_of(line) in later]


def name_of(line: lines.Line) -> str:
    """Of the training that a line is of."""
    return Task.of(line).name


def spread(values: list[float | None]) -> Row | None:
    """Mean, standard deviation and number of those that there are."""
    there = [value for value in values if value is not None]
    if not there:
        return None
    return {"mean": statistics.fmean(there), "sd": statistics.stdev(there) if len(there) > 1 else None, "n": len(there)}


def row_of(entry: Entry, rate: float, done: Done, variant: str) -> Row:
    """One trainer's kind at its best rate."""
    at: Row = {}
    for l0 in L0S:
        for what in ("fvu", "loss_recovered", "dead"):
            at[f"{what} {l0:g}"] = spread([done.at(rate, seed, l0, what) for seed in SEEDS])
    own = [line for seed in SEEDS for line in done.of(rate, seed) if "seconds" in line]
    seconds = statistics.median(line["seconds"] for line in own)
    facts = {"trainer": entry.trainer, "kind": entry.kind, "family": entry.family, "variant": variant, "rate": rate}
    measured = {f"{line['strength']:g}": round(line["l0"], 2) for line in done.of(rate, SEEDS[0])}
    return {**facts, "at": at, "seconds": seconds, "l0": measured}


def rows_of(there: list[lines.Line]) -> list[Row]:
    """All trainers and variants that came to an L0 of 16."""
    found = []
    rates = {each: Done(each, in_variant(there, PLAIN)).best_rate() for each in entries_of(there)}
    for entry, rate in rates.items():
        for variant in (PLAIN, "gain_refit", "threshold_refit"):
            done = Done(entry, in_variant(there, variant))
            if rate is not None and done.at(rate, SEEDS[0], CHOSEN_AT) is not None:
                found.append(row_of(entry, rate, done, variant))
    return found


def curves_of(there: list[lines.Line]) -> list[Row]:
    """Of each trainer at its best rate, seed 0: the curve to an L0 of 16, read as its end is, between two trainings."""
    found = []
    for entry in entries_of(there):
        done = Done(entry, in_variant(there, PLAIN))
        own = [line for line in done.of(done.best_rate() or 0.0, SEEDS[0]) if "curve" in line]
        curve = [point for looks in zip(*(by_l0(line) for line in own), strict=True) if (point := read(looks))]
        if curve:
            found.append({"trainer": entry.trainer, "kind": entry.kind, "family": entry.family, "curve": curve})
    return found


def by_l0(line: lines.Line) -> list[tuple[float, tuple[int, float, float]]]:
    """The L0 that a training ended with, before each point of its curve: steps, seconds, FVU."""
    return [(line["l0"], point) for point in line["curve"]]


def read(looks: tuple[tuple[float, tuple[int, float, float]], ...]) -> tuple[int, float, float] | None:
    """The point at an L0 of 16 of some trainings after equal steps."""
    seconds, fvu = (at_l0([(l0, point[which]) for l0, point in looks], CHOSEN_AT) for which in (1, 2))
    return None if seconds is None or fvu is None else (looks[0][1][0], seconds, fvu)


def against(rows: list[Row]) -> list[Row]:
    """For each kind that others have too: ours to the best of them, as a share, at each L0; in a variant, to theirs in
    the same one."""
    found = []
    for own in (row for row in rows if row["trainer"] == OURS):
        alike = own["family"], own["variant"]
        others = [row for row in rows if row["trainer"] != OURS and (row["family"], row["variant"]) == alike]
        ratios = {}
        for l0 in L0S:
            name, mine = f"fvu {l0:g}", own["at"][f"fvu {l0:g}"]
            theirs = [(row["at"][name]["mean"], row["trainer"]) for row in others if row["at"][name]]
            if mine and theirs:
                best, whose = min(theirs)
                ratios[f"{l0:g}"] = {"ratio": mine["mean"] / best, "trainer": whose}
        if ratios:
            found.append({"kind": own["kind"], "variant": own["variant"], "ratios": ratios})
    return found


def section(there: list[lines.Line]) -> Row:
    """What benchmarks/results.json has."""
    versions = {name: each for line in there for name, each in line.get("versions", {}).items()}
    rows = rows_of(there)
    hours = sum(line.get("seconds", 0) for line in there) / 3600
    whole = {"rows": rows, "against": against(rows), "curves": curves_of(there), "hours": round(hours, 2)}
    return {"machine": results.machine(()) | versions, **whole}


if __name__ == "__main__":
    results.merge("quality", section(lines.read()))

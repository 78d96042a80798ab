"""Two dictionaries beside one another: what they were made with, what was measured, and which features they share."""

import json
from pathlib import Path
from typing import Any

import torch

from sparse_coding.cli import naming
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.formats import reading
from sparse_coding.io import dictionaries, tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.load import load_dictionary
from sparse_coding.using import looking

ALIKE = (0.5, 0.7, 0.9)  # cosines
MEASURED = ("l0", "fvu", "loss_recovered", "dead")
Facts = dict[str, Any]


def compare(first: str, second: str, as_json: bool) -> str:
    """See commands.compare."""
    (one, made), (other, others) = _loaded(first), _loaded(second)
    found: Facts = {"dictionaries": [first, second], "settings": _apart(made, others)}
    measured = [_measured(one), _measured(other)]
    found["measured"] = {name: [each.get(name) for each in measured] for name in MEASURED}
    found["features"] = _features(one, other)
    return json.dumps(found, indent=1) if as_json else "\n".join(_said(found))


def _loaded(named: str) -> tuple[Dictionary, Facts]:
    """By SITE/NAME of results, or by a path; and what its file says of how it was made."""
    path = Path(named) if Path(named).exists() else naming.path_of(named)
    if path is None:
        raise BadInput("compare", repr(named), f"{naming.wanted()}, or a path")
    made = dictionaries.load_with_settings(path)[1] if reading.is_ours(path) else {}
    return load_dictionary(path), made


def _apart(one: Facts, other: Facts) -> dict[str, list[Any]]:
    """What differs, by its name with dots."""
    first, second = _flat(one), _flat(other)
    names = sorted(first.keys() | second.keys())
    return {name: [first.get(name), second.get(name)] for name in names if first.get(name) != second.get(name)}


def _flat(facts: Facts, before: str = "") -> Facts:
    found: Facts = {}
    for name, value in facts.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found


def _measured(dictionary: Dictionary) -> Facts:
    """Its plain row of the evaluation table, where `load_dictionary` found that it speaks of this file."""
    if dictionary.l0 is None:
        return {}
    table = naming.RESULTS / "evaluation" / str(dictionary.site) / "table.parquet"
    rows = tables.read_also_older(table, EVALUATION, "snakemake evaluation").to_pylist()
    return next((row for row in rows if row["name"] == dictionary.name and row["variant"] == "plain"), {})


def _features(one: Dictionary, other: Dictionary) -> Facts | None:
    """Which atoms are alike; None where they are of spaces of other widths."""
    if one.d_out != other.d_out:
        return None
    found: Facts = {"n_feat": [one.n_feat, other.n_feat]}
    sides = [looking.nearest(one, other), looking.nearest(other, one)]
    found["mutual"] = [int(side.mutual.sum()) for side in sides]
    found["median_cosine"] = [round(float(side.cosine.median()), 4) for side in sides]
    found["mean_cosine"] = [round(float(side.cosine.mean()), 4) for side in sides]
    found["at_least"] = {str(least): [int((side.cosine >= least).sum()) for side in sides] for least in ALIKE}
    closest = torch.where(sides[0].mutual, sides[0].cosine, -torch.inf).argsort(descending=True)
    pairs = [(int(i), int(sides[0].index[i]), round(float(sides[0].cosine[i]), 4)) for i in closest]
    found["pairs"] = [pair for pair in pairs if bool(sides[0].mutual[pair[0]])]
    return found


def _said(found: Facts) -> list[str]:
    first, second = found["dictionaries"]
    lines = [f"{first}  |  {second}"]
    lines += [f"  {name}: {_text(one)}  |  {_text(other)}" for name, (one, other) in found["measured"].items()]
    if found["settings"]:
        lines += ["Made with other settings:"]
        lines += [f"  {name}: {_text(one)}  |  {_text(other)}" for name, (one, other) in found["settings"].items()]
    features = found["features"]
    if features is None:
        return [*lines, "Their atoms are of spaces of other widths: no feature has one that is nearest."]
    n, m = features["n_feat"]
    lines += [f"Features, {n}  |  {m}: by the cosine of each with the nearest one of the other"]
    lines += ["  median: {:.2f}  |  {:.2f}".format(*features["median_cosine"])]
    for least, (one, other) in features["at_least"].items():
        lines += [f"  at least {least}: {one} ({one / n:.0%})  |  {other} ({other / m:.0%})"]
    return [*lines, f"  nearest to one another: {features['mutual'][0]}"]


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)

"""A dictionary that is to be published, with all that was measured of it; what must not be published is refused."""

import csv
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding import methods, roles, variants
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, judged, tables
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.load import check_wanted, evaluated, load_dictionary
from sparse_coding.settings import hub_lock, sites
from sparse_coding.workflow import vouched

Row = dict[str, Any]
BESIDE = (roles.REFERENCE, roles.LINEAR)  # baselines whose scores stand beside that of the dictionary


@dataclass(frozen=True, eq=False)
class Subject:
    """One of them. dictionary: in the variant that is asked for; row: of that variant, in the table of evaluation;
    made: what its file says of its training; means: scores that its own is read beside, and its own; explained: rows
    of interpretation by feature, of the plain dictionary."""

    path: Path
    dictionary: Dictionary
    row: Row
    made: Row
    means: tuple[Row, ...]
    explained: dict[int, list[Row]]
    plain_frequency: Float[Tensor, " n_feat"]

    @property
    def site(self) -> str:
        """Where its vectors come from."""
        return str(self.row["site"])

    @property
    def name(self) -> str:
        """Its name there."""
        return str(self.row["name"])

    @property
    def variant(self) -> str:
        """In which variant it is."""
        return str(self.row["variant"])

    @property
    def is_plain(self) -> bool:
        """Whether it is as it was trained."""
        return self.variant == variants.PLAIN

    @property
    def folder(self) -> str:
        """Where it lies in what is published."""
        return f"{self.site}/{self.name}" + ("" if self.is_plain else f"_{self.variant}")

    @cached_property
    def own_means(self) -> list[Row]:
        """Its own mean scores, a row for each way of scoring."""
        own = (row for row in self.means if row["name"] == self.name and row["site"] == self.site)
        return [row for row in own if row["condition"] == variants.PLAIN]

    @property
    def published(self) -> Dictionary:
        """What SAELens computes of what is written: of the k largest, gains are in the decoder there, not in codes."""
        if self.dictionary.activation != "topk":
            return self.dictionary
        return replace(self.dictionary, gain=torch.ones_like(self.dictionary.gain))


def read(path: Path, variant: str, results: Path) -> Subject:
    """The dictionary `path` of `results`, and what was measured of it.

    Raises BadInput where it was trained elsewhere or not evaluated, where it is not what params.yaml asks for, where
    the table is of another version of it, and where the variant was not measured.
    """
    site, name = path.parent.name, path.stem
    place = f"publish {site}/{name}"
    if path.parent.parent.name == hub_lock.PUBLISHED:
        raise BadInput(place, "a dictionary that was trained elsewhere", "one of dictionaries or baselines")
    rows = [row for row in _evaluated(place, results, site) if row["name"] == name]
    if not rows:
        raise BadInput(place, "a dictionary that was not evaluated", "one of results/evaluation: run `snakemake`")
    if methods.of(rows[0]["kind"]).constant:
        raise BadInput(place, "a baseline without features", "a dictionary")
    check_wanted(results, next(row for row in rows if row["variant"] == variants.PLAIN))
    dictionary = load_dictionary(path, variant=variant, results=results)
    row = next(row for row in rows if row["variant"] == variant)
    means, explained = _interpreted(results, site, name)
    made = dictionaries.load_with_settings(path)[1]
    return Subject(path, dictionary, row, made, means, explained, _frequency(results, site, name, dictionary.n_feat))


def _evaluated(place: str, results: Path, site: str) -> list[Row]:
    table = results / "evaluation" / site / "table.parquet"
    if not table.is_file():
        raise BadInput(place, f"no {table}", f"a site that was evaluated: run `snakemake {table}`")
    return evaluated(results, site)


def _frequency(results: Path, site: str, name: str, n_feat: int) -> Float[Tensor, " n_feat"]:
    """The share of held-out vectors on which each feature fires."""
    path = results / "evaluation" / site / "frequency.parquet"
    if path.is_file():
        vouched.check_bytes(path, path.with_name("table.parquet"))
    rows = tables.read(path, FREQUENCY)  # of all dictionaries of the site
    own = rows.filter(pc.equal(rows["name"], name))
    found = dict(zip(own["feature"].to_pylist(), own["frequency"].to_pylist(), strict=True))
    if sorted(found) != list(range(n_feat)):
        raise BadInput(f"{path}: {name}", f"{len(found)} features", f"{n_feat}, as the dictionary has")
    return torch.tensor([found[feature] for feature in range(n_feat)], dtype=torch.float64)


def _interpreted(results: Path, site: str, name: str) -> tuple[tuple[Row, ...], dict[int, list[Row]]]:
    """Mean scores of it, of baselines and of the control; and its own rows by feature. None where it has no scores."""
    folder = results / "autointerp" / site
    table = folder / "table.parquet"
    explained: dict[int, list[Row]] = {}
    if not table.is_file():
        return (), {}
    vouched.check_bytes(table)
    for row in judged.read(table).to_pylist():
        if row["name"] == name and row["condition"] == variants.PLAIN:
            explained.setdefault(row["feature"], []).append(row)
    if not explained:
        return (), {}
    means = [row for row in _means(folder) if row["name"] == name or row["kind"] in BESIDE]
    control = results / "autointerp" / _control(site)
    return (*means, *(_means(control) if control != folder else ())), explained


def _control(site: str) -> str:
    try:
        return sites.parse(site).control.name
    except BadInput:
        return site  # of vectors that were imported there is none


def _means(folder: Path) -> list[Row]:
    """Lines of means.csv, with numbers as numbers and None where a cell is empty."""
    path = folder / "means.csv"
    if not path.is_file():
        return []
    vouched.check_bytes(path, folder / "table.parquet")
    with open(path, newline="", encoding="utf-8") as file:
        return [{name: _value(name, text) for name, text in row.items()} for row in csv.DictReader(file)]


def _value(name: str, text: str) -> Any:
    if not text:
        return None
    if name in _NUMBERS:
        return float(text)
    return int(text) if name in _WHOLE else text


_NUMBERS = {"mean", "mean_low", "mean_high", "p_holm", "difference", "difference_low", "difference_high"}
_WHOLE = {"wanted", "sampled", "scored", "dead", "too_few", "failed"}

"""How much disk each artifact takes, with its companions and its stamp; and what .work keeps beside the store.

Arrays are exact, in bytes. Headers, logs and tables are counted as large as those that were seen, and a file takes
whole blocks of the file system.
"""

import math

from sparse_coding import methods
from sparse_coding.forecast.counting.shapes import BYTES
from sparse_coding.forecast.counting.vectors import Rows, Sizes
from sparse_coding.portions.storing import COLUMNS, PAGE
from sparse_coding.settings import slices
from sparse_coding.settings.jobs import Job
from sparse_coding.settings.params import Params
from sparse_coding.settings.params.toy import Toy
from sparse_coding.settings.slices import (
    AutointerpSlice,
    BaselinesSlice,
    DictionariesSlice,
    EvaluationSlice,
    TablesSlice,
)
from sparse_coding.settings.slices.toy import ToySlice

BLOCK = 4096  # of the file system
FLOAT, INT, CHECKSUM = 4, 4, 8
STAMP, LONG_STAMP, HEADER, LOG_LINE, ROW = 3900, 4800, 1200, 140, 1100
FREQUENCY, FREQUENCY_HEAD = 10.5, 1350  # a feature of a frequency table
TABLE_COLUMN_ROW, SCORE, SCORE_HEAD = 450, 53, 8000  # a row of an evaluation table; a scored feature
CAPTION, FIGURE_INCHES2, DOT = 2000, 110, 0.18  # a figure: bytes a dot
VOCABULARY_ENTRY = 9
_LONG = ("dictionaries", "evaluation", "autointerp")  # whose stamps tell of more upstream
JOB_FILES = 8 * BLOCK  # its order, log, benchmark, lock
REMEMBERED = 5 * BLOCK  # of one artifact: hashes, what Snakemake notes of each file


def of_member(job: Job, name: str, sizes: Sizes) -> int:
    """Bytes below results/ of one artifact of a job. Raises BadInput where its width cannot be known."""
    files = _FILES[job.stage](job, name, sizes)
    stamp = LONG_STAMP if name in getattr(job.settings, "members", ()) and job.stage in _LONG else STAMP
    return sum(_on_disk(size) for size in (*files, stamp))


def of_job(job: Job, sizes: Sizes, members: tuple[str, ...] | None = None) -> int:
    """Of some of its artifacts, or all."""
    return sum(of_member(job, name, sizes) for name in (job.members if members is None else members))


def in_work(job: Job, params: Params, sizes: Sizes) -> int:
    """What a job leaves in .work and results/logs: its order and log, what is remembered, checkpoints of a model."""
    kept = JOB_FILES + REMEMBERED * len(job.members)
    if job.stage == "transformer":  # weights, the best of them, moments: two of AdamW; Muon has one
        kept += (4 if params.transformer.optimiser == "adamw" else 3) * FLOAT * sizes.model.parameters
    return kept


def _on_disk(size: float) -> int:
    return math.ceil(size / BLOCK) * BLOCK


def _model(job: Job, name: str, sizes: Sizes) -> list[float]:
    return [FLOAT * sizes.model.parameters, 64 * sizes.model.vocabulary, 150_000]


def _dataset(job: Job, name: str, sizes: Sizes) -> list[float]:
    own = sizes.params.dataset
    blocks = sizes.blocks(own.train_tokens) + sizes.blocks(own.held_out_tokens)
    fragments = own.fragments * (sizes.fragment_length + 1)
    return [INT * (2 * blocks * own.context + fragments) + VOCABULARY_ENTRY * sizes.model.vocabulary + 20_000]


def activations_bytes(rows: Rows, d_act: int, bytes_each: int, block_rows: int) -> int:
    """An activations file: vectors, three columns and checksums of each split, the mean."""
    total = 3 * PAGE + FLOAT * d_act
    for n in (rows.train, rows.held_out, rows.fragments):
        parts = [n * d_act * bytes_each, *len(COLUMNS) * [n * INT], math.ceil(n / block_rows) * CHECKSUM]
        total += sum(math.ceil(part / PAGE) * PAGE if part >= PAGE else part for part in parts)
    return total


def _activations(job: Job, name: str, sizes: Sizes) -> list[float]:
    own = sizes.params.activations
    return [activations_bytes(sizes.rows(name), sizes.width(name), BYTES[own.dtype], own.block_rows)]


def dictionary_bytes(n_feat: int, d_act: int, kind: str) -> int:
    """A trained dictionary: its matrices, what it has a number a feature of, the centre."""
    about = methods.of(kind)
    return FLOAT * (about.matrices * n_feat * d_act + about.vectors * n_feat + d_act) + HEADER


def _dictionaries(job: Job, name: str, sizes: Sizes) -> list[float]:
    own = job.settings
    assert isinstance(own, DictionariesSlice)
    lines = own.training.steps // own.training.log_steps + 2
    n_feat = sizes.features(own.site, own.architecture, own.ratio)
    return [dictionary_bytes(n_feat, sizes.width(own.site), own.architecture), LOG_LINE * lines]


def _baselines(job: Job, name: str, sizes: Sizes) -> list[float]:
    """A basis is stored once, without signs."""
    own = job.settings
    assert isinstance(own, BaselinesSlice)
    width = sizes.width(own.site)
    matrices = methods.of(own.members[name].method).matrices
    return [FLOAT * (matrices * width * width + 5 * width) + HEADER]


def _evaluation(job: Job, name: str, sizes: Sizes) -> list[float]:
    own = job.settings
    if isinstance(own, TablesSlice):
        site = job.name.removeprefix("evaluation_tables_")
        members = slices.evaluation(sizes.params, site).members
        features = sum(sizes.features(site, members[each].kind, members[each].ratio) for each in own.names)
        return [TABLE_COLUMN_ROW * len(own.names) + 12_000, FREQUENCY * features + FREQUENCY_HEAD]
    if not isinstance(own, EvaluationSlice):
        return [2300 * _subjects(sizes), 900 * _subjects(sizes), 400 * _subjects(sizes)]
    about = own.members[name]
    n_feat, refits = sizes.features(own.site, about.kind, about.ratio), sizes.refits(about.kind)
    rows: list[float] = [ROW * (2 if refits else 1), FREQUENCY * n_feat + FREQUENCY_HEAD]
    return [*rows, FLOAT * n_feat + 250] if refits else rows


def _subjects(sizes: Sizes) -> int:
    return sum(len(slices.evaluation(sizes.params, site).members) for site in sizes.params.grid.sites)


def _autointerp(job: Job, name: str, sizes: Sizes) -> list[float]:
    own, features = job.settings, sizes.params.autointerp.features
    if isinstance(own, TablesSlice):
        return [(SCORE * features + 500) * len(own.names) + SCORE_HEAD, 600 * len(own.names)]
    members = getattr(own, "members", {})
    factor = 1 if isinstance(own, AutointerpSlice) else 4  # what models say is longer
    one = factor * SCORE * features + SCORE_HEAD
    return [one, one] if name in members and members[name].shuffled_null else [one]


def _plots(job: Job, name: str, sizes: Sizes) -> list[float]:
    return [DOT * FIGURE_INCHES2 * sizes.params.plots.dpi**2, CAPTION]


def _toy(job: Job, name: str, sizes: Sizes) -> list[float]:
    own, toy = job.settings, sizes.params.toy
    if isinstance(own, ToySlice):
        n_feat = max(1, round(own.ratio * toy.true_features))
        return [dictionary_bytes(n_feat, toy.d_act, toy.architecture), 600]
    if job.name == "toy_tables":
        return [120 * _toys(toy) + 8000, 90 * _toys(toy)]
    return _plots(job, name, sizes)


def _toys(toy: Toy) -> int:
    return len(toy.conditions) * len(toy.seeds) * len(toy.ratios) * len(toy.l1)


_FILES = {
    "transformer": _model,
    "dataset": _dataset,
    "activations": _activations,
    "dictionaries": _dictionaries,
    "baselines": _baselines,
    "evaluation": _evaluation,
    "autointerp": _autointerp,
    "plots": _plots,
    "toy": _toy,
}

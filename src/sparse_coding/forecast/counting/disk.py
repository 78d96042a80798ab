"""How much disk each artifact takes, with its companions and its stamp; and what .work keeps beside the store.

Arrays are exact, in bytes. Headers, logs and tables are counted as large as those that were seen, and a file takes
whole blocks of the file system.
"""

import math
from collections.abc import Mapping

from sparse_coding import methods
from sparse_coding.forecast.counting.shapes import BYTES
from sparse_coding.forecast.counting.vectors import Rows, Sizes
from sparse_coding.portions.storing import COLUMNS, PAGE
from sparse_coding.settings import slices
from sparse_coding.settings.jobs import Planned
from sparse_coding.settings.params import Params
from sparse_coding.settings.params.toy import Toy
from sparse_coding.settings.slices import (
    AutointerpSlice,
    BaselinesSlice,
    Described,
    DictionariesSlice,
    EvaluationSlice,
    PublishedSlice,
    SummarySlice,
    TablesSlice,
)
from sparse_coding.settings.slices.toy import ToySlice

BLOCK = 4096  # of the file system
FLOAT, INT, CHECKSUM = 4, 4, 8
HEADER, LOG_LINE, ROW = 1200, 134, 1330
STAMP = {"dataset": 2700, "activations": 2900, "dictionaries": 7100, "evaluation": 5500, "autointerp": 4800}
OTHER_STAMP, OF_MODEL = 3900, 1100  # of the latter is what stamps tell of a model and its tokens
GATHERING, GATHERED = 1350, 110  # the stamp of a table, and a dictionary in it
# A frequency table: its head, a feature, and a number as often as it is another one. Of so many held-out vectors, as
# many numbers are told apart, in one table and in that of a site.
FREQUENCY_HEAD, FREQUENCY, DISTINCT, APART, ALL_APART = 1350, (3.0, 1.2), 7.5, 16, 2.5
TABLE_HEAD, TABLE_ROW = 13_300, 176  # of evaluation
SUMMARY, POINTS, METRICS = 560, 100, 212  # a row of each
WITHOUT_MODEL = 0.5  # of such a row, where nothing is spliced
SCORE, SCORE_HEAD = 53, 8000  # a scored feature; gathered, and a dictionary beside them
GATHERED_SCORE, GATHERED_NAME, MEAN, MEANS_HEAD = 44, 200, 480, 700
ABOUT = 1500  # what is said of a dictionary that was read
CAPTION, FIGURE, SUBJECT = (
    2000,
    1700,
    520,
)  # a figure: bytes a dot per inch, and for the square root of its dictionaries
TOY_SUBJECTS = 20  # as many dictionaries' worth of bytes
VOCABULARY_ENTRY = 9
SOURCE_READ = 45 * BLOCK  # what is remembered of the code, and of decisions: once
JOB_FILES = 3 * BLOCK  # its orders, log, benchmark, lock
REMEMBERED = 7 * BLOCK  # of one artifact: hashes, what Snakemake notes of each file
Files = Mapping[str, float]  # bytes, by how their names end


def of_member(job: Planned, name: str, sizes: Sizes) -> int:
    """Bytes below results/ of one artifact of a job. Raises BadInput where its width cannot be known."""
    return sum(on_disk(size) for size in files_of(job, name, sizes).values())


def files_of(job: Planned, name: str, sizes: Sizes) -> Files:
    """Bytes of each file of an artifact, its stamp too. Raises as `of_member`."""
    return {**_FILES[job.stage](job, name, sizes), "stamp": _stamp(job, sizes)}


def of_job(job: Planned, sizes: Sizes, members: tuple[str, ...] | None = None) -> int:
    """Of some of its artifacts, or all."""
    return sum(of_member(job, name, sizes) for name in (job.members if members is None else members))


def in_work(job: Planned, params: Params, sizes: Sizes) -> int:
    """What a job leaves in .work and results/logs: its order and log, what is remembered, checkpoints of a model."""
    kept = JOB_FILES + REMEMBERED * len(job.members)
    if job.stage == "transformer":  # weights, the best of them, moments: two of AdamW; Muon has one
        kept += (4 if params.transformer.optimiser == "adamw" else 3) * FLOAT * sizes.model.parameters
    return kept


def unfinished(own: DictionariesSlice, sizes: Sizes) -> int:
    """Parameters and moments of the dictionaries of a cell that are trained side by side; meanwhile also in .work."""
    return in_training(own, sizes) * min(len(own.trainings), own.training.side_by_side)


def in_training(own: DictionariesSlice, sizes: Sizes) -> int:
    """Parameters and moments of one dictionary of a cell."""
    d_in, d_out = sizes.width(own.site), sizes.out_width(own.site)
    n_feat = sizes.features(own.site, own.architecture, own.ratio)
    copies = 1 + methods.OPTIMISERS[own.training.optimiser].moments
    began = n_feat * d_out if own.control == "soft_frozen_decoder" else 0  # rows as they were drawn
    return FLOAT * (copies * weights(n_feat, d_in, d_out, own.architecture) + began)


def _stamp(job: Planned, sizes: Sizes) -> int:
    own = job.settings
    if isinstance(own, TablesSlice | SummarySlice):
        return GATHERING + GATHERED * len(getattr(own, "names", ()))
    has_model = getattr(own, "site", None) not in sizes.params.activations.imported
    return STAMP.get(job.stage, OTHER_STAMP) - (0 if has_model else OF_MODEL)


def on_disk(size: float) -> int:
    """What a file takes of its file system."""
    return math.ceil(size / BLOCK) * BLOCK


def _model(job: Planned, name: str, sizes: Sizes) -> Files:
    return {
        "safetensors": FLOAT * sizes.model.parameters,
        "tokenizer.json": 64 * sizes.model.vocabulary,
        "rest": 150_000,
    }


def _dataset(job: Planned, name: str, sizes: Sizes) -> Files:
    own = sizes.params.dataset
    blocks = sizes.blocks(own.train_tokens) + sizes.blocks(own.held_out_tokens)
    fragments = own.fragments * (sizes.fragment_length + 1)
    return {"h5": INT * (2 * blocks * own.context + fragments) + VOCABULARY_ENTRY * sizes.model.vocabulary + 20_000}


def activations_bytes(rows: Rows, d_act: int, bytes_each: int, block_rows: int) -> int:
    """An activations file: vectors, three columns and checksums of each split, the mean."""
    total = 3 * PAGE + FLOAT * d_act
    for n in (rows.train, rows.held_out, rows.fragments):
        parts = [n * d_act * bytes_each, *len(COLUMNS) * [n * INT], math.ceil(n / block_rows) * CHECKSUM]
        total += sum(math.ceil(part / PAGE) * PAGE if part >= PAGE else part for part in parts)
    return total


def _activations(job: Planned, name: str, sizes: Sizes) -> Files:
    own = sizes.params.activations
    return {"h5": activations_bytes(sizes.rows(name), sizes.width(name), BYTES[own.dtype], own.block_rows)}


def weights(n_feat: int, d_in: int, d_out: int, kind: str) -> int:
    """Numbers of its matrices, directions once where they have both signs; a skip or a hidden layer beside them."""
    about = methods.of(kind)
    rows = n_feat // 2 if about.signed else n_feat
    beside = (d_in * d_out if about.skip else 0) + (2 * d_in * (d_in + 1) if about.hidden else 0)
    return rows * ((about.matrices - 1) * d_in + d_out) + beside


def dictionary_bytes(n_feat: int, d_act: int, kind: str, d_out: int | None = None) -> int:
    """A trained dictionary: its matrices, what it has a number a feature of, the centre, and of a pair another one."""
    about, out = methods.of(kind), d_act if d_out is None else d_out
    centres = d_act + (out if about.pairs else 0)
    return FLOAT * (weights(n_feat, d_act, out, kind) + about.vectors * n_feat + centres) + HEADER


def _dictionaries(job: Planned, name: str, sizes: Sizes) -> Files:
    """The log has a line each `log_steps`, and of the last step; that of a snapshot ends with it."""
    own = job.settings
    assert isinstance(own, DictionariesSlice)
    training, tokens = own.training, own.members[name].tokens
    steps = training.steps if tokens is None else min(-(-tokens // training.batch), training.steps)
    last, every = steps - 1, training.log_steps
    lines = last // every + 1 + (steps == training.steps and last % every > 0)
    n_feat = sizes.features(own.site, own.architecture, own.ratio)
    size = dictionary_bytes(n_feat, sizes.width(own.site), own.architecture, sizes.out_width(own.site))
    return {"safetensors": size, "log.jsonl": LOG_LINE * lines}


def _baselines(job: Planned, name: str, sizes: Sizes) -> Files:
    """A basis is stored once, without signs."""
    own = job.settings
    assert isinstance(own, BaselinesSlice)
    width, member = sizes.width(own.site), own.members[name]
    about = methods.of(member.method)
    directions = 0 if about.constant else min(width, sizes.out_width(own.site))
    if about.pairs and member.k is not None:
        directions = min(directions, member.k)
    return {"safetensors": FLOAT * (about.matrices * directions * width + 5 * width) + HEADER}


def _published(job: Planned, name: str, sizes: Sizes) -> Files:
    own = job.settings
    assert isinstance(own, PublishedSlice)
    n_feat = sizes.of_row(own.site, Described(name=name, kind=methods.PUBLISHED))
    numbers = n_feat * (sizes.width(own.site) + sizes.out_width(own.site) + 3)
    return {"safetensors": FLOAT * numbers + HEADER + ABOUT, "certificate.json": 2 * ABOUT}


def _evaluation(job: Planned, name: str, sizes: Sizes) -> Files:
    own = job.settings
    if isinstance(own, TablesSlice):
        site = job.name.removeprefix("evaluation_tables_")
        features, rows = _of_site(sizes, site)
        most = sizes.rows(site).held_out / ALL_APART
        told = features * most / (features + most)
        gathered = FREQUENCY_HEAD + FREQUENCY[1] * features + DISTINCT * told
        return {"table.parquet": TABLE_HEAD + TABLE_ROW * rows, "frequency.parquet": gathered}
    if isinstance(own, SummarySlice):
        lines = sum(_lines(sizes, site) for site in sizes.params.grid.sites)
        return {"summary.csv": SUMMARY * lines, "points.csv": POINTS * lines, "metrics.json": METRICS * lines}
    assert isinstance(own, EvaluationSlice)
    about = own.members[name]
    n_feat = sizes.of_row(own.site, about)
    variants = sizes.params.evaluation.variants_of(about.kind, about.k)
    told = min(n_feat, sizes.rows(own.site).held_out / APART)
    frequencies = FREQUENCY_HEAD + FREQUENCY[0] * n_feat + DISTINCT * told
    fitted = {f"{row.folder}.safetensors": FLOAT * n_feat + 250 for row in variants if row.is_fitted}
    return {"json": ROW * (1 + len(variants)), "frequency.parquet": frequencies, **fitted}


def _of_site(sizes: Sizes, site: str) -> tuple[int, int]:
    """Features of all dictionaries of a site, and rows of its table."""
    members = slices.evaluation(sizes.params, site).members.values()
    features = sum(sizes.of_row(site, each) for each in members)
    return features, sum(1 + len(sizes.params.evaluation.variants_of(each.kind, each.k)) for each in members)


def _lines(sizes: Sizes, site: str) -> float:
    """Rows of a site, as long as those of a site of a model."""
    return _of_site(sizes, site)[1] * (WITHOUT_MODEL if site in sizes.params.activations.imported else 1)


def _autointerp(job: Planned, name: str, sizes: Sizes) -> Files:
    own, features = job.settings, sizes.params.autointerp.features
    if isinstance(own, TablesSlice):
        names = len(own.names)
        table = (GATHERED_SCORE * features + GATHERED_NAME) * names + SCORE_HEAD
        return {"table.parquet": table, "means.csv": MEAN * names + MEANS_HEAD}
    members = getattr(own, "members", {})
    factor = 1 if isinstance(own, AutointerpSlice) else 4  # what models say is longer
    one = factor * SCORE * features + SCORE_HEAD
    has_null = name in members and members[name].shuffled_null
    return {"parquet": one, **({"shuffled_null.parquet": one} if has_null else {})}


def _plots(job: Planned, name: str, sizes: Sizes) -> Files:
    site = getattr(job.settings, "site", None)
    subjects = TOY_SUBJECTS if site is None else len(slices.evaluation(sizes.params, site).members)
    return {"png": sizes.params.plots.dpi * (FIGURE + SUBJECT * math.sqrt(subjects)), "txt": CAPTION}


def _toy(job: Planned, name: str, sizes: Sizes) -> Files:
    own, toy = job.settings, sizes.params.toy
    if isinstance(own, ToySlice):
        n_feat = max(1, round(own.ratio * toy.true_features))
        return {"safetensors": dictionary_bytes(n_feat, toy.d_act, toy.architecture), "json": 600}
    if job.name == "toy_tables":
        return {"table.parquet": 120 * _toys(toy) + 8000, "cells.csv": 90 * _toys(toy)}
    return _plots(job, name, sizes)


def _toys(toy: Toy) -> int:
    return len(toy.conditions) * len(toy.seeds) * len(toy.ratios) * len(toy.l1)


_FILES = {
    "transformer": _model,
    "dataset": _dataset,
    "activations": _activations,
    "dictionaries": _dictionaries,
    "baselines": _baselines,
    "published": _published,
    "evaluation": _evaluation,
    "autointerp": _autointerp,
    "plots": _plots,
    "toy": _toy,
}

"""Peak memory of one job of each stage: what it holds as its own, from the shapes that it works on.

What a job maps from files (activations, the code of libraries) is not in it: the kernel takes that back when memory
is short, and libraries are there once for all jobs. All in bytes.
"""

from sparse_coding import methods, sites
from sparse_coding.forecast.counting import corpus
from sparse_coding.forecast.counting.shapes import BYTES
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.settings.jobs import Job
from sparse_coding.settings.params import Transformer
from sparse_coding.settings.slices import (
    ActivationsSlice,
    AutointerpLlmSlice,
    AutointerpSlice,
    AutointerpTablesSlice,
    BaselinesSlice,
    DatasetSlice,
    DictionariesSlice,
    EvaluationSlice,
    ImportSlice,
    TablesSlice,
)
from sparse_coding.settings.slices.toy import ToySlice

MIB = 1 << 20
FLOAT, DOUBLE = 4, 8
LIBRARIES = 250 * MIB  # mapped code, once for all jobs
# Python with what a step imports, measured; loops: what numba adds with the first compiled loop.
BASE = {name: size * MIB for name, size in {
    "dataset": 289, "activations": 375, "dictionaries": 177, "baselines": 263, "evaluation": 375, "autointerp": 183,
    "plots": 198, "toy": 190, "transformer": 315, "tables": 75, "summary": 38, "import": 180,
}.items()}  # fmt: skip
LOOPS = 33 * MIB
TEXT_KEPT = 4  # bytes a byte of text that was read and hashed
PRETRAINED_ON, NGRAMS = 15, 57  # bytes a token: ids and blocks of them; n-grams of five orders while they are counted
TOKEN_LOADED, TOKEN_PACKED = 13, 25  # bytes a token: ids, documents, and a copy while they are checked or packed
ROWS_AHEAD, TURN, CHUNK = 32, 32, 256  # batches of the stream; those of a turn and of the one before; rows of a chunk
PATTERN, SCREEN = 1.6, 4  # bytes a code: positive ones by row; scores of all
MEASURED_ROWS, ENCODED_ROWS, READ_ROWS = 1024, 4096, 8192
AT_A_TIME = 32  # dictionaries that are evaluated together
HEAP = 100 * MIB  # that a thread keeps of what it freed (docs/decisions.md: memory of threads)
SQUARES = 6  # matrices [n_feat, n_feat] of float64 that the gain refit holds at its peak
ICA_COPIES = 38  # bytes a number of ICA's sample
NMF_COPIES = 48
HIDDEN = 14  # widths of the residual stream that a pass holds for a token, beside those of the MLP
LOGITS = 4  # clean ones, their log-probabilities and probabilities, spliced ones


def of_job(job: Job, sizes: Sizes, threads: int) -> int:
    """The peak of a job on so many threads. Raises BadInput where its sizes cannot be known."""
    own = job.settings
    for kind, peak in _PEAKS:
        if isinstance(own, kind):
            return round(peak(own, sizes, threads))
    return BASE["plots"] if job.stage == "plots" or job.name == "toy_figure" else BASE["summary"]


def _weights(sizes: Sizes, random: bool = False) -> int:
    """Weights in the format of their file are mapped from it; random ones, and converted ones, are not."""
    own = sizes.params.model
    if not random and sizes.model.stored == own.dtype:
        return 0
    return BYTES[own.dtype] * sizes.model.parameters


def _dataset(own: object, sizes: Sizes, threads: int) -> float:
    return BASE["dataset"] + corpus.memory(sizes.params.dataset) + TOKEN_PACKED * sizes.tokens


def _pass(sizes: Sizes, tokens: int) -> float:
    """What one forward pass over so many tokens holds, without logits."""
    model = sizes.model
    return FLOAT * tokens * (HIDDEN * model.d_model + 2 * model.d_mlp)


def _activations(own: ActivationsSlice, sizes: Sizes, threads: int) -> float:
    """Weights, tokens, and for each thread a pass; harvested batches wait for the writer, two a thread.

    The writer holds a block of each split, and a block of training vectors while it finds their mean norm.
    """
    batch, stored = max(own.activations.batch_tokens, sizes.params.dataset.context), BYTES[own.activations.dtype]
    widths = [sizes.width(site) for site in own.members]
    waiting = batch * sum(widths) * ((2 * threads + 1) * FLOAT + FLOAT + stored)
    written = own.activations.block_rows * (3 * stored * sum(widths) + (stored + 2 * FLOAT) * max(widths))
    held = _weights(sizes, own.random_seed is not None) + TOKEN_LOADED * sizes.tokens
    return BASE["activations"] + held + threads * _pass(sizes, batch) + waiting + written


def _import(own: ImportSlice, sizes: Sizes, threads: int) -> float:
    return BASE["import"] + 4 * READ_ROWS * FLOAT * sizes.width(own.site)


def _dictionaries(own: DictionariesSlice, sizes: Sizes, threads: int) -> float:
    """The stream, the members with their moments, and a workspace a thread."""
    training, width = own.training, sizes.width(own.site)
    n_feat, about = sizes.features(own.site, own.architecture, own.ratio), methods.of(own.architecture)
    one = FLOAT * n_feat * width * about.matrices
    together = min(len(own.members), training.side_by_side)
    stream = (max(training.buffer_rows, training.batch) + CHUNK) * width * BYTES[sizes.params.activations.dtype]
    stream += (ROWS_AHEAD + TURN) * training.batch * width * FLOAT
    steps = min(threads, together) * workspace(training.batch, n_feat, width, about.strength)
    return BASE["dictionaries"] + LOOPS + 3 * one * together + stream + steps


def workspace(batch: int, n_feat: int, d_act: int, strength: methods.Strength | None) -> float:
    """Scratch of one thread: pattern, scores and rounded factors of a sparse step; the codes of a dense one.

    A wished L0 (thresholds) takes a second pattern, and pre-activations beside the codes.
    """
    codes = batch * n_feat
    patterns = PATTERN * (2 if strength == "l0" else 1)
    sparse = (patterns + SCREEN) * codes + n_feat * d_act + batch * d_act * (FLOAT + 1)
    return sparse + (1 if strength == "l1" else 2) * FLOAT * codes


def _baselines(own: BaselinesSlice, sizes: Sizes, threads: int) -> float:
    """One method after another: the largest of them."""
    width, rows = sizes.width(own.site), sizes.rows(own.site).train
    held = [READ_ROWS * width * (FLOAT + 2 * DOUBLE) + 4 * DOUBLE * width**2]
    for member in own.members.values():
        sample = min(member.reads.get("rows", 0), rows)
        if methods.of(member.method).solved:  # a block of the sample after another
            held.append(NMF_COPIES * min(max(2048, 16 * width), sample) * width)
        else:
            held.append(ICA_COPIES * sample * width)
    return BASE["baselines"] + max(held)


def _evaluation(own: EvaluationSlice, sizes: Sizes, threads: int) -> float:
    """The dictionaries of a part, and the larger of: measuring (a gain refit a thread), splicing (logits a thread)."""
    width = sizes.width(own.site)
    rows = own.members.values()
    shapes = [(sizes.features(own.site, row.kind, row.ratio), sizes.refits(row.kind), row.kind) for row in rows]
    loaded = [FLOAT * n * width * _loaded_matrices(kind) for n, _, kind in shapes]
    held = max(sum(loaded[first : first + AT_A_TIME]) for first in range(0, len(loaded), AT_A_TIME))
    refits = sorted((DOUBLE * SQUARES * n**2 for n, refitted, _ in shapes if refitted), reverse=True)
    largest = max(n for n, _, _ in shapes)
    measuring = sum(refits[:threads]) + threads * MEASURED_ROWS * (5 * FLOAT * largest + 6 * DOUBLE * width)
    base = BASE["evaluation"] + LOOPS + held + threads * HEAP
    if own.model is None:
        return base - BASE["evaluation"] + BASE["baselines"] + measuring
    batch = own.evaluation.batch_blocks * sizes.params.dataset.context
    site = sites.parse(own.site)
    kept = FLOAT * batch * (site.layer + 1) * 2 * sizes.model.d_model
    spliced = LOGITS * FLOAT * batch * sizes.model.vocabulary + 2 * FLOAT * batch * largest + kept + _pass(sizes, batch)
    busy = min(threads, -(-own.evaluation.splice_blocks // own.evaluation.batch_blocks))
    return base + _weights(sizes) + TOKEN_LOADED * sizes.tokens + max(measuring, busy * spliced)


def _loaded_matrices(kind: str) -> int:
    """Of [n_feat, d_act]; with signs both are written out, also where they are the same."""
    about = methods.of(kind)
    return 2 if about.signed else about.matrices


def _autointerp(own: AutointerpSlice | AutointerpLlmSlice, sizes: Sizes, threads: int) -> float:
    """The codes of sampled features on all fragments, a dictionary a thread."""
    rows, width = sizes.rows(own.site).fragments, sizes.width(own.site)
    shapes = [sizes.features(own.site, row.kind, row.ratio) for row in own.members.values()]
    features = [min(own.sampling.features, n) for n in shapes]
    codes = sum(sorted((FLOAT * n * rows for n in features), reverse=True)[:threads])
    encoding = ENCODED_ROWS * FLOAT * (2 * width + max(features)) + 4 * FLOAT * max(shapes) * width
    screened = PATTERN * 1024 * max(shapes)
    heaps = (min(threads, len(shapes)) - 1) * HEAP
    return BASE["autointerp"] + LOOPS + codes + heaps + threads * (encoding + screened) + TOKEN_LOADED * sizes.tokens


def _transformer(own: Transformer, sizes: Sizes, threads: int) -> float:
    """Weights, gradients, moments, the best weights; what a step keeps for its backward pass; n-grams are counted last.

    Or, where that is more, the texts while their windows are hashed.
    """
    model, tokens = sizes.model, own.batch * own.context
    kept = own.layers * (20 * own.d_model + 3 * own.heads * own.context * (2 if own.dropout else 1))
    step = FLOAT * tokens * (kept + 3 * model.vocabulary)
    text = corpus.training_bytes(own)
    counted = TEXT_KEPT * text + (PRETRAINED_ON + NGRAMS) * corpus.training_tokens(own, model.vocabulary)
    return BASE["transformer"] + max(corpus.HELD * text, 6 * FLOAT * model.parameters + step + counted)


def _toy(own: ToySlice, sizes: Sizes, threads: int) -> float:
    """All members of a cell at once, on vectors that are drawn as they are asked for."""
    training = own.training
    n_feat = max(1, round(own.ratio * training.true_features))
    one = FLOAT * n_feat * training.d_act * methods.of(training.architecture).matrices
    steps = min(threads, len(own.members)) * workspace(
        training.batch, n_feat, training.d_act, methods.of(training.architecture).strength
    )
    drawn = (TURN + 1) * training.batch * training.d_act * FLOAT + 1024 * training.true_features * 3 * DOUBLE
    held_out = training.held_out * training.d_act * 2 * FLOAT + 2048 * n_feat * 4 * FLOAT
    return BASE["toy"] + LOOPS + 3 * one * len(own.members) + drawn + max(steps, held_out)


_PEAKS: tuple = (
    (DatasetSlice, _dataset),
    (ActivationsSlice, _activations),
    (ImportSlice, _import),
    (DictionariesSlice, _dictionaries),
    (BaselinesSlice, _baselines),
    (EvaluationSlice, _evaluation),
    ((AutointerpSlice, AutointerpLlmSlice), _autointerp),
    ((AutointerpTablesSlice, TablesSlice), lambda own, sizes, threads: BASE["tables"]),
    (Transformer, _transformer),
    (ToySlice, _toy),
)

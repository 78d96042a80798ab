"""Peak memory of one job of each stage: what it holds as its own, from the shapes that it works on.

What a job maps from files (activations, the code of libraries) is not in it: the kernel takes that back when memory
is short, and libraries are there once for all jobs. All in bytes.
"""

from collections.abc import Collection

from sparse_coding import methods
from sparse_coding.forecast.counting import corpus
from sparse_coding.forecast.counting.disk import in_training, unfinished
from sparse_coding.forecast.counting.shapes import BYTES
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.portions.baselines import READ_ROWS, nmf_rows
from sparse_coding.portions.encoding import ENCODE_ROWS, SCREENED_ROWS
from sparse_coding.portions.measuring import AT_A_TIME, MEASURE_ROWS
from sparse_coding.portions.storing import PORTION_ROWS
from sparse_coding.portions.toy import BLOCK, ENCODED
from sparse_coding.portions.training import AHEAD, CHUNK_ROWS, DENSEST, STEPS_A_TURN
from sparse_coding.settings import sites
from sparse_coding.settings.jobs import Planned
from sparse_coding.settings.params import Transformer
from sparse_coding.settings.slices import (
    ActivationsSlice,
    AutointerpLlmSlice,
    AutointerpSlice,
    AutointerpTablesSlice,
    BaselinesSlice,
    DatasetSlice,
    Described,
    DictionariesSlice,
    EvaluationSlice,
    ImportSlice,
    PublishedSlice,
    TablesSlice,
)
from sparse_coding.settings.slices.toy import ToySlice
from sparse_coding.variants import Variant

MIB = 1 << 20
FLOAT, DOUBLE = 4, 8
LIBRARIES = 250 * MIB  # mapped code, once for all jobs
# Python with what a step imports, measured; loops: what numba adds with the first compiled loop.
BASE = {name: size * MIB for name, size in {
    "dataset": 289, "activations": 375, "dictionaries": 177, "baselines": 247, "evaluation": 347, "autointerp": 183,
    "published": 250, "plots": 149, "toy": 190, "transformer": 315, "tables": 75, "summary": 38, "import": 180,
}.items()}  # fmt: skip
LOOPS = 33 * MIB
TEXT_KEPT = 4  # bytes a byte of text that was read and hashed
PRETRAINED_ON, NGRAMS = 15, 57  # bytes a token: ids and blocks of them; n-grams of five orders while they are counted
TOKEN_LOADED, TOKEN_PACKED = 13, 25  # bytes a token: ids, documents, and a copy while they are checked or packed
TURN = 2 * STEPS_A_TURN  # batches of a turn and of the one before
PATTERN, SCREEN = 8 * DENSEST, 4  # bytes a code: positive ones by row, as number and index; scores of all
NORMS, ROW_NUMBER = 26, 8  # bytes a vector and place while norms are compared, measured; a vector that is trained on
RANKED = 24  # bytes a code: all of the first batch in their order, where a share of them is to be positive
# What a thread keeps of what it freed (docs/decisions.md: memory of threads): at most, and however little it does; half
# of the most after so many passes; of measuring, when splicing begins.
HEAP, LEAST_HEAP, PASSES, LEFT = 100 * MIB, 30 * MIB, 20, 0.6
SQUARES = 6  # matrices [n_feat, n_feat] of float64 that the gain refit holds at its peak
ICA_COPIES, NMF_COPIES = 30, 80  # bytes a number of ICA's sample, of the block of NMF
CANVAS, INCHES2, WIDTH = 10, 110, 12.0  # bytes a dot of a figure; square inches of one of that width
ENTERED = 40  # bytes a number of a matrix of a dictionary that is read, written and compared, measured
HIDDEN = 14  # widths of the residual stream that a pass holds for a token, beside those of the MLP
LOGITS = 4  # clean ones, their log-probabilities and probabilities, spliced ones


def of_job(job: Planned, sizes: Sizes, threads: int) -> int:
    """The peak of a job on so many threads. Raises BadInput where its sizes cannot be known."""
    own = job.settings
    for kind, peak in _PEAKS:
        if isinstance(own, kind):
            return round(peak(own, sizes, threads))
    return _figure(sizes) if job.stage == "plots" or job.name == "toy_figure" else BASE["summary"]


def _figure(sizes: Sizes) -> int:
    own = sizes.params.plots
    return BASE["plots"] + round(CANVAS * INCHES2 * (own.width / WIDTH * own.dpi) ** 2)


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
    """A portion, which of its numbers are finite, and as it is stored; the blocks of the writer."""
    width, stored = sizes.width(own.site), BYTES[own.activations.dtype]
    portion = min(PORTION_ROWS, sizes.rows(own.site).train) * (FLOAT + 1 + (stored if stored != FLOAT else 0))
    return BASE["import"] + width * (portion + own.activations.block_rows * (4 * stored + 2 * FLOAT))


def _dictionaries(own: DictionariesSlice, sizes: Sizes, threads: int) -> float:
    """The stream, the members with their moments, and a workspace a thread; a member once more where a snapshot of it
    is written. With a limit of norms, which vectors are below it; before that, the norms of all of them.
    """
    training, width, read = own.training, sizes.width(own.site), sizes.read_width(own.site)
    n_feat, about = sizes.features(own.site, own.architecture, own.ratio), methods.of(own.architecture)
    together = min(len(own.trainings), training.side_by_side)
    stream = (max(training.buffer_rows, training.batch) + CHUNK_ROWS) * read * BYTES[sizes.params.activations.dtype]
    stream += (AHEAD + TURN) * training.batch * read * FLOAT
    is_ranked = getattr(own.own, "initial_density", None) is not None
    steps = min(threads, together) * workspace(training.batch, n_feat, width, about.strength, is_ranked)
    copied = in_training(own, sizes) if any(member.tokens for member in own.members.values()) else 0
    rows = sizes.rows(own.site).train if training.norm_limit is not None else 0
    held = ROW_NUMBER * rows + unfinished(own, sizes) + copied + stream + steps
    return BASE["dictionaries"] + LOOPS + max(held, NORMS * rows * len(sites.places(own.site)))


def workspace(batch: int, n_feat: int, d_act: int, strength: methods.Strength | None, is_ranked: bool) -> float:
    """Scratch of one thread: pattern, scores and rounded factors of a sparse step; the codes of a dense one.

    A wished L0 (thresholds) takes a second pattern, and pre-activations beside the codes. Before all of these comes the
    order of the first codes, where there is one.
    """
    codes = batch * n_feat
    patterns = PATTERN * (2 if strength == "l0" else 1)
    sparse = (patterns + SCREEN) * codes + n_feat * d_act + batch * d_act * (FLOAT + 1)
    return max(sparse + (1 if strength == "l1" else 2) * FLOAT * codes, RANKED * codes if is_ranked else 0)


def _baselines(own: BaselinesSlice, sizes: Sizes, threads: int) -> float:
    """One method after another: PCA, or the largest of the others beside what is left of it."""
    width, rows = sizes.read_width(own.site), sizes.rows(own.site).train
    read = READ_ROWS * width * (FLOAT + 2 * DOUBLE) + 4 * DOUBLE * width**2
    held: list[float] = [read]
    for member in own.members.values():
        sample = min(member.reads.get("rows", 0), rows)
        if methods.of(member.method).solved:  # a block of the sample after another
            block = sample / max(1, sample // nmf_rows(width))
            held.append(LEFT * read + NMF_COPIES * block * width)
        elif sample:
            held.append(LEFT * read + ICA_COPIES * sample * width)
    return BASE["baselines"] + max(held)


def _evaluation(own: EvaluationSlice, sizes: Sizes, threads: int) -> float:
    """The dictionaries of a part, and the larger of: measuring (a gain refit a thread), splicing, with what is left."""
    width = sizes.width(own.site)
    rows = own.members.values()
    asked = [sizes.params.evaluation.variants_of(row.kind, row.k) for row in rows]
    shapes = [(sizes.of_row(own.site, row), variants, row.kind) for row, variants in zip(rows, asked, strict=True)]
    loaded = [FLOAT * n * width * _loaded_matrices(kind) for n, _, kind in shapes]
    held = max(sum(loaded[first : first + AT_A_TIME]) for first in range(0, len(loaded), AT_A_TIME))
    refits = sorted((_recoding(n, variants) for n, variants, _ in shapes), reverse=True)
    largest = max(n for n, _, _ in shapes)
    measuring = sum(refits[:threads]) + threads * MEASURE_ROWS * (5 * FLOAT * largest + 6 * DOUBLE * width)
    base = BASE["evaluation"] + LOOPS + held
    if own.model is None:
        return base - BASE["evaluation"] + BASE["baselines"] + measuring
    left = min(LEFT * measuring, threads * HEAP)
    variants = sum(1 + len(each) for each in asked)
    splicing = left + _splicing(own, sizes, largest, variants, threads)
    return base + _weights(sizes) + TOKEN_LOADED * sizes.tokens + max(measuring, splicing)


def _recoding(n_feat: int, variants: Collection[Variant]) -> float:
    """The largest of what is held for one of the variants of a dictionary: they are fitted one after another.

    Of a pursuit the products of atoms with each other, and codes and scores of what is measured at a time.
    """
    held = [DOUBLE * SQUARES * n_feat**2 if each.is_fitted else FLOAT * n_feat**2 for each in variants]
    codes = 2 * FLOAT * MEASURE_ROWS * n_feat if any(not each.is_fitted for each in variants) else 0
    return max(held, default=0) + codes


def _splicing(own: EvaluationSlice, sizes: Sizes, n_feat: int, variants: int, threads: int) -> float:
    """Logits and codes of a batch a thread, and what its heap keeps: the more, the more passes it has done."""
    batch, site = own.evaluation.batch_blocks * sizes.params.dataset.context, sites.parse(own.site)
    kept = FLOAT * batch * (site.layer + 1) * 2 * sizes.model.d_model
    spliced = LOGITS * FLOAT * batch * sizes.model.vocabulary + 2 * FLOAT * batch * n_feat + kept + _pass(sizes, batch)
    batches = -(-own.evaluation.splice_blocks // own.evaluation.batch_blocks)
    busy = min(threads, batches)
    passes = batches * variants / busy
    return busy * (spliced + min(HEAP, 2 * spliced) * passes / (passes + PASSES))


def _loaded_matrices(kind: str) -> int:
    """Of [n_feat, d_act]; with signs both are written out, also where they are the same."""
    about = methods.of(kind)
    return 2 if about.signed else about.matrices


def _autointerp(own: AutointerpSlice | AutointerpLlmSlice, sizes: Sizes, threads: int) -> float:
    """The codes of sampled features on all fragments, a dictionary a thread; what the heaps of others than one keep."""
    rows, width = sizes.rows(own.site).fragments, sizes.width(own.site)
    shapes = [sizes.of_row(own.site, row) for row in own.members.values()]
    features = [min(own.sampling.features, n) for n in shapes]
    codes = sum(sorted((FLOAT * n * rows for n in features), reverse=True)[:threads])
    encoding = ENCODE_ROWS * FLOAT * (2 * width + max(features)) + 4 * FLOAT * max(shapes) * width
    screened = PATTERN * SCREENED_ROWS * max(shapes)
    busy = min(threads, len(shapes))
    heaps = (busy - 1) * min(HEAP, LEAST_HEAP + codes / busy + encoding + screened)
    return BASE["autointerp"] + LOOPS + codes + heaps + threads * (encoding + screened) + TOKEN_LOADED * sizes.tokens


def _published(own: PublishedSlice, sizes: Sizes, threads: int) -> float:
    """As it was stored, ours, and both in float64, in which they are compared."""
    n_feat = sizes.of_row(own.site, Described(name=own.name, kind=methods.PUBLISHED))
    return BASE["published"] + ENTERED * n_feat * (sizes.width(own.site) + sizes.out_width(own.site))


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
        training.batch, n_feat, training.d_act, methods.of(training.architecture).strength,
        training.initial_density is not None,
    )  # fmt: skip
    drawn = (TURN + 1) * training.batch * training.d_act * FLOAT + BLOCK * training.true_features * 3 * DOUBLE
    held_out = training.held_out * training.d_act * 2 * FLOAT + ENCODED * n_feat * 4 * FLOAT
    return BASE["toy"] + LOOPS + 3 * one * len(own.members) + drawn + max(steps, held_out)


_PEAKS: tuple = (
    (DatasetSlice, _dataset),
    (ActivationsSlice, _activations),
    (ImportSlice, _import),
    (DictionariesSlice, _dictionaries),
    (BaselinesSlice, _baselines),
    (PublishedSlice, _published),
    (EvaluationSlice, _evaluation),
    ((AutointerpSlice, AutointerpLlmSlice), _autointerp),
    ((AutointerpTablesSlice, TablesSlice), lambda own, sizes, threads: BASE["tables"]),
    (Transformer, _transformer),
    (ToySlice, _toy),
)

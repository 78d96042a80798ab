"""Processor seconds of each job, from probes."""

from sparse_coding import methods
from sparse_coding.core.controls import steps_of
from sparse_coding.core.metrics.ratios import MOST_CLUSTERS
from sparse_coding.core.threads import one_thread
from sparse_coding.core.training.matching import LEAST, LOOKS, first_penalty
from sparse_coding.forecast.counting import corpus, disk
from sparse_coding.forecast.counting.corpus import DOCUMENT_TOKENS
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.forecast.probing import evaluating, fitting, interpreting, pretraining, starting, training
from sparse_coding.forecast.probing.assumed import UNKNOWN, settled_l0
from sparse_coding.forecast.probing.network import Network
from sparse_coding.io.activations.layout import TORCH_DTYPES
from sparse_coding.portions.measuring import AT_A_TIME
from sparse_coding.settings import jobs, sites
from sparse_coding.settings.jobs import Planned
from sparse_coding.settings.outside import EMBEDDED_CORPUS
from sparse_coding.settings.params import Transformer
from sparse_coding.settings.slices import (
    ActivationsSlice,
    AutointerpSlice,
    BaselinesSlice,
    DatasetSlice,
    Described,
    DictionariesSlice,
    EvaluationSlice,
    ImportSlice,
    PublishedSlice,
    SummarySlice,
    TablesSlice,
)  # fmt: skip
from sparse_coding.settings.slices.toy import ToySlice

WRITTEN = 4  # passes over a stored vector beside its hashes: kept rows, conversion, check, mean norm
ENTERED = 2e-6  # seconds a number of a matrix that is read, written and compared
DRAWN = 40e-9  # seconds of a random number and a code of the toy's truth
INTERVALS = (2, 3)  # of a dictionary over documents, and over blocks
OTHER_STARTS = ((TablesSlice, "tables"), (SummarySlice, "summary"), (ImportSlice, "import"))
ABLATIONS, CLEAN = 2, 3  # conditions beside the dictionaries; passes until the clean one is at hand


def _start_of(job: Planned) -> str:
    """Which start a job has: without a model, evaluation starts as baselines do."""
    own = job.settings
    if isinstance(own, EvaluationSlice) and own.model is None:
        return "baselines"
    return next((start for kind, start in OTHER_STARTS if isinstance(own, kind)), job.stage)


class Costs:
    """Seconds of jobs; the probes are made as they are needed, each shape once. l0: as in assumed, None: its guess."""

    def __init__(self, sizes: Sizes, l0: float | None = None) -> None:
        self.sizes, self.l0 = sizes, l0
        self.network = Network(sizes)

    def of_job(self, job: Planned) -> float:
        """Processor seconds of a job. Raises BadInput as `Sizes`."""
        with one_thread():
            fixed = starting.SECONDS.get(_start_of(job), 1.0)
            own = {known: work for known, work in self._kinds() if isinstance(job.settings, known)}
            work = next(iter(own.values()))(job.settings) if own else 0.0
            hashed = starting.hashed() * disk.of_job(job, self.sizes)
            return fixed * starting.slowness() + work + hashed

    def between(self, job: Planned, seconds: float) -> tuple[float, float]:
        """The least and the most processor seconds of a job, by what is not known before: L0 in training with an L1.

        seconds: what `of_job` found. Raises BadInput as `Sizes`.
        """
        own = job.settings
        if not isinstance(own, DictionariesSlice) or self.l0 is not None:
            return seconds, seconds
        with one_thread():
            train = [self._train(own, off) for off in (1.0, 1 / UNKNOWN, UNKNOWN)]
        return seconds + (min(train) - train[0]), seconds + (max(train) - train[0])

    def _kinds(self) -> tuple:
        return (
            (DatasetSlice, self._dataset), (ActivationsSlice, self._harvest), (ImportSlice, self._import),
            (DictionariesSlice, self._train), (BaselinesSlice, self._fit), (EvaluationSlice, self._evaluate),
            (AutointerpSlice, self._interpret), (PublishedSlice, self._enter),
            (Transformer, self._pretrain), (ToySlice, self._toy),
        )  # fmt: skip

    def _dataset(self, own: DatasetSlice) -> float:
        if own.dataset.corpus == EMBEDDED_CORPUS:
            return starting.EMBEDDED_CORPUS * starting.slowness()
        return starting.TEXT * corpus.text_bytes(own.dataset) * starting.slowness()

    def _harvest(self, own: ActivationsSlice) -> float:
        blocks = 1 + max(sites.parse(name).layer for name in own.members)
        total = self.sizes.tokens * blocks * self.network.block
        dtype = TORCH_DTYPES[own.activations.dtype]
        for site in own.members:
            total += WRITTEN * self.sizes.rows(site).all * training.batch(1024, self.sizes.width(site), dtype) / 1024
        return total

    def _import(self, own: ImportSlice) -> float:
        dtype, width = TORCH_DTYPES[own.activations.dtype], self.sizes.width(own.site)
        return WRITTEN * self.sizes.rows(own.site).all * training.batch(1024, width, dtype) / 1024

    def _train(self, own: DictionariesSlice, off: float = 1.0) -> float:
        width = self.sizes.width(own.site)
        n_feat, given = self.sizes.features(own.site, own.architecture, own.ratio), own.training
        total, varies_in = 0.0, methods.of(own.architecture).varies_in
        for member in own.trainings:
            guess = settled_l0(member.strength, member.value, n_feat, width, off)
            settled = guess if self.l0 is None or member.strength != "l1" else self.l0
            keeps = member.k if member.l0 is None else first_penalty(varies_in, float(member.l0), width).k or None
            total += training.member(given, own.own, own.architecture, (n_feat, width), settled, keeps, own.control)
            if member.l0_rows:
                counted = min(member.l0_rows, self.sizes.rows(own.site).held_out)
                total += _looks(given.steps) * counted * evaluating.measured(n_feat, width, None, None, 1)
        readings = -(-len(own.trainings) // given.side_by_side)
        read, taken = self.sizes.read_width(own.site), steps_of(given.steps, own.control)
        drawn = training.batch(given.batch, read, TORCH_DTYPES[self.sizes.params.activations.dtype])
        return total + readings * taken * drawn + self._files(own.site) * starting.hashed() / 2

    def _files(self, site: str) -> int:
        """Bytes of the vectors of a site."""
        every = jobs.of_params(self.sizes.params)
        harvests = [every[name] for name in jobs.harvests_of(self.sizes.params, site)]
        made = [(job, place) for job in harvests for place in sites.places(site) if place in job.members]
        return sum(disk.of_member(job, place, self.sizes) for job, place in made)

    def _fit(self, own: BaselinesSlice) -> float:
        return fitting.all_of(own, self.sizes.width(own.site), self.sizes.rows(own.site).train)

    def _evaluate(self, own: EvaluationSlice) -> float:
        width, rows = self.sizes.width(own.site), self.sizes.rows(own.site)
        refit_rows = min(own.evaluation.gain_refit_rows or 0, rows.train)
        total, rebuilt, subjects = 0.0, 0.0, 0
        for row in own.members.values():
            if methods.of(row.kind).constant:
                continue
            n_feat, iterations = self.sizes.of_row(own.site, row), self._iterations(row.kind)
            asked = self.sizes.params.evaluation.variants_of(row.kind, row.k)
            variants, fitted = 1 + len(asked), sum(each.is_fitted for each in asked)
            pursued = self._pursued(own.site, row, n_feat) if fitted < len(asked) else 0.0
            total += rows.held_out * evaluating.measured(n_feat, width, row.k, iterations, variants)
            total += rows.held_out * pursued
            if fitted:
                total += fitted * (refit_rows * evaluating.refitted(n_feat, width) + evaluating.solved(n_feat))
            rebuilt += variants * evaluating.reconstructed(n_feat, width, row.k, iterations) + pursued
            subjects += variants
        documents = min(MOST_CLUSTERS, rows.held_out // DOCUMENT_TOKENS + 1)
        total += subjects * INTERVALS[0] * evaluating.interval(documents)
        if own.model is None:
            return total
        total += subjects * INTERVALS[1] * evaluating.interval(own.evaluation.splice_blocks)
        parts = -(-len(own.members) // AT_A_TIME)
        above = self.sizes.model.layers - sites.parse(own.site).layer - 1
        tokens = min(own.evaluation.splice_blocks * self.sizes.params.dataset.context, rows.held_out)
        network = self.network
        spliced = (subjects + ABLATIONS * parts) * (above * network.block + network.head + network.compared) + rebuilt
        clean = parts * (CLEAN * (self.sizes.model.layers * network.block + network.head) + 2 * network.compared)
        return total + tokens * (spliced + clean)

    def _pursued(self, site: str, row: Described, n_feat: int) -> float:
        """Seconds a vector of its codes by matching pursuit, of as many as it has of its own."""
        width, about = self.sizes.width(site), methods.of(row.kind)
        steps = settled_l0(about.varies_in, getattr(row, about.column), n_feat, width)
        return evaluating.pursued(n_feat, width, max(round(steps), 1))

    def _iterations(self, kind: str) -> int | None:
        """Of non-negative least squares, for each vector."""
        return self.sizes.params.baselines.nmf_encode_iterations if methods.of(kind).solved else None

    def _interpret(self, own: AutointerpSlice) -> float:
        width, rows = self.sizes.width(own.site), self.sizes.rows(own.site).fragments
        given, vocabulary = self.sizes.params.dataset, self.sizes.model.vocabulary
        scored = interpreting.feature(vocabulary, given.fragment_tokens, own.rules)
        scored += given.fragments * interpreting.fragment_ranked()
        total = interpreting.vocabulary_read(vocabulary)
        for row in own.members.values():
            n_feat, iterations = self.sizes.of_row(own.site, row), self._iterations(row.kind)
            features = min(own.sampling.features, n_feat)
            total += rows * evaluating.chosen(n_feat, width, row.k, iterations, features)
            total += (1 + row.shuffled_null) * features * scored
        return total

    def _enter(self, own: PublishedSlice) -> float:
        n_feat = self.sizes.of_row(own.site, Described(name=own.name, kind=methods.PUBLISHED))
        return ENTERED * n_feat * (self.sizes.width(own.site) + self.sizes.out_width(own.site)) * starting.slowness()

    def _pretrain(self, own: Transformer) -> float:
        read = starting.EMBEDDED_CORPUS if own.corpus == EMBEDDED_CORPUS else starting.TEXT * corpus.training_bytes(own)
        return read * starting.slowness() + pretraining.seconds(own, self.sizes.model.vocabulary)

    def _toy(self, own: ToySlice) -> float:
        given = own.training
        n_feat = max(1, round(own.ratio * given.true_features))
        total = 0.0
        for l1 in own.members.values():
            weight = l1 / n_feat if given.l1_scaling == "per_feature" else l1
            settled = min(settled_l0("l1", weight, n_feat, given.d_act), 2 * given.mean_active)
            total += training.member(given, given, given.architecture, (n_feat, given.d_act), settled, None)
        drawn = given.steps * given.batch * given.true_features * DRAWN
        return (
            total + drawn + len(own.members) * given.held_out * evaluating.measured(n_feat, given.d_act, None, None, 1)
        )


def _looks(steps: int) -> int:
    """How often the codes of a member with a wished L0 are counted, at most."""
    return -(-steps // max(steps // LOOKS, LEAST))

"""The settings that each step sees, and nothing else.

The Snakefile cuts these from params and passes them to a step as JSON; a step reads its settings from nowhere
else. What is not in a step's slice cannot change its result.
"""

from sparse_coding import grid
from sparse_coding.grid import Cell, Member
from sparse_coding.params import (
    Activations,
    Architecture,
    Autointerp,
    Baselines,
    Dataset,
    Dictionaries,
    Evaluation,
    Model,
    Params,
    Plots,
    Section,
    Transformer,
)


class DatasetSlice(Section):
    """The tokenizer comes with the model."""

    model: Model
    dataset: Dataset


class ActivationsSlice(Section):
    """The sites of one model that one pass harvests."""

    model: Model
    sites: tuple[str, ...]  # all trained, or all random_...
    activations: Activations
    random_seed: int | None = None  # seed of the random weights, for control sites


class ImportSlice(Section):
    """A site whose vectors were made elsewhere."""

    site: str
    held_out_share: float
    activations: Activations


class DictionariesSlice(Section):
    """One cell: a step trains exactly these members."""

    site: str
    architecture: Architecture
    ratio: float
    members: dict[str, Member]  # name -> settings
    dictionaries: Dictionaries


class BaselinesSlice(Section):
    """All baselines of one site."""

    site: str
    baselines: Baselines


class Described(Section):
    """What tables say about one dictionary."""

    name: str
    kind: str  # architecture or baseline method
    ratio: float | None = None
    l1: float | None = None
    k: int | None = None
    seed: int | None = None


class EvaluationSlice(Section):
    """All dictionaries and baselines of one site."""

    site: str
    model: Model | None  # None for imported activations: no model to splice into
    dictionaries: tuple[Described, ...]
    evaluation: Evaluation


class SummarySlice(Section):
    """Gathering needs no settings."""


class AutointerpSlice(Section):
    """The dictionaries of one site that are interpreted."""

    site: str
    dictionaries: tuple[Described, ...]
    shuffled_null: str | None  # the dictionary that is scored again with positions shuffled
    autointerp: Autointerp


class PlotsSlice(Section):
    """One figure, and what its title says."""

    site: str
    model: str | None  # None for imported activations, as the next two
    corpus: str | None
    train_tokens: int | None
    bootstrap: int
    plots: Plots


def describe_members(cell: Cell, names: list[str] | None = None) -> list[Described]:
    """Rows for the members of a cell; only those in `names` where it is given."""
    return [
        Described(name=name, kind=cell.architecture, ratio=cell.ratio, l1=member.l1, k=member.k, seed=member.seed)
        for name, member in zip(cell.member_names, cell.members, strict=True)
        if names is None or name in names
    ]


def describe_baselines(params: Params, topk: bool) -> list[Described]:
    """Rows for the baselines of a site, with or without the top-k variants."""
    baselines = params.baselines
    described = [Described(name=method, kind=method, seed=baselines.seed) for method in baselines.methods]
    if topk:
        described += [
            Described(name=grid.topk_name(method, k), kind=method, k=k, seed=baselines.seed)
            for method in baselines.topk_methods
            for k in baselines.topk
        ]
    return described


def dataset(params: Params) -> DatasetSlice:
    """Everything about the corpus, and the model for its tokenizer."""
    return DatasetSlice(model=params.model, dataset=params.dataset)


def activations(params: Params, random_weights: bool) -> ActivationsSlice:
    """The sites of the trained model, or their controls in the model with random weights."""
    names = grid.harvested_sites(params)
    control = params.autointerp.random_weights
    if random_weights:
        names = [control_name for name in names if (control_name := grid.control_site(params, name))]
    seed = control.seed if random_weights and control else None
    return ActivationsSlice(model=params.model, sites=tuple(names), activations=params.activations, random_seed=seed)


def import_activations(params: Params, site: str) -> ImportSlice:
    """How the vectors of an imported site are stored and split."""
    share = params.dataset.held_out_share
    return ImportSlice(site=site, held_out_share=share, activations=params.activations)


def dictionaries(params: Params, cell: Cell) -> DictionariesSlice:
    """One cell with its members."""
    return DictionariesSlice(
        site=cell.site,
        architecture=cell.architecture,
        ratio=cell.ratio,
        members=dict(zip(cell.member_names, cell.members, strict=True)),
        dictionaries=params.dictionaries,
    )


def baselines(params: Params, site: str) -> BaselinesSlice:
    """The baselines of one site."""
    return BaselinesSlice(site=site, baselines=params.baselines)


def evaluation(params: Params, site: str) -> EvaluationSlice:
    """Every trained dictionary and every baseline of one site."""
    trained = [row for cell in grid.cells(params, site) for row in describe_members(cell)]
    others = describe_baselines(params, topk=True) if grid.is_grid_site(params, site) else []
    model = None if site in params.activations.imported else params.model
    return EvaluationSlice(site=site, model=model, dictionaries=(*trained, *others), evaluation=params.evaluation)


def autointerp(params: Params, site: str) -> AutointerpSlice:
    """On a grid site: the chosen members, the baselines, the shuffled null. On a control site: its member."""
    trained = [
        row for cell in grid.cells(params, site) for row in describe_members(cell, grid.scored_members(params, cell))
    ]
    if not grid.is_grid_site(params, site):
        return AutointerpSlice(site=site, dictionaries=tuple(trained), shuffled_null=None, autointerp=params.autointerp)
    others = describe_baselines(params, topk=False)
    return AutointerpSlice(
        site=site,
        dictionaries=(*trained, *others),
        shuffled_null=_shuffled_null(params, trained),
        autointerp=params.autointerp,
    )


def _shuffled_null(params: Params, trained: list[Described]) -> str | None:
    """The trained twin of the random-weights control where it is scored, so that the controls can be compared."""
    control = params.autointerp.random_weights
    twins = [row for row in trained if control and (row.kind, row.ratio) == (control.architecture, control.ratio)]
    return next((row.name for row in [*twins, *trained]), None)


def plots(params: Params, site: str) -> PlotsSlice:
    """How the figure of one site looks and what it is called."""
    imported = site in params.activations.imported
    return PlotsSlice(
        site=site,
        model=None if imported else params.model.name,
        corpus=None if imported else params.dataset.corpus,
        train_tokens=None if imported else params.dataset.train_tokens,
        bootstrap=params.autointerp.bootstrap,
        plots=params.plots,
    )


def transformer(params: Params) -> Transformer:
    """Its section of params, nothing else."""
    return params.transformer

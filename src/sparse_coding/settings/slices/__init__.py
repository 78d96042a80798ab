"""The settings that each step sees, and nothing else.

The rules cut these from params, and the workflow passes them to a step as JSON; a step reads its settings from
nowhere else. What is not in a step's slice cannot change its result. Where a job makes several artifacts, `members`
has an entry for each, and an artifact is made from its own entry and what stands beside `members`.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sparse_coding import methods
from sparse_coding.settings import grid, known, sites
from sparse_coding.settings.grid import Cell
from sparse_coding.settings.params import Activations, Caps, Params, Sampling, Section, Training, Transformer
from sparse_coding.settings.slices.sections import (
    ActivationsSlice,
    AutointerpLlmSlice,
    AutointerpSlice,
    AutointerpTablesSlice,
    BaselineMember,
    BaselinesSlice,
    DatasetSlice,
    Described,
    DictionariesSlice,
    EvaluationSlice,
    ImportSlice,
    PlotsSlice,
    PublishedSlice,
    Scored,
    SummarySlice,
    TablesSlice,
)

__all__ = [
    "ActivationsSlice",
    "AutointerpLlmSlice",
    "AutointerpSlice",
    "AutointerpTablesSlice",
    "BaselineMember",
    "BaselinesSlice",
    "DatasetSlice",
    "Described",
    "DictionariesSlice",
    "EvaluationSlice",
    "ImportSlice",
    "PlotsSlice",
    "PublishedSlice",
    "Scored",
    "SummarySlice",
    "TablesSlice",
]

# Modules that reach a step through these settings and no other way: a change in them shows in the values. Of `methods`,
# the rows that a figure draws by are among its settings; to the others, whether a kind is learned shows in its ratio.
# Packages count with all that they hold.
SCHEMA = ("sparse_coding.methods", "sparse_coding.settings.params", "sparse_coding.settings.params_file",
          "sparse_coding.settings.grid", "sparse_coding.settings.slices")  # fmt: skip


def split(section: Section) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of a section as JSON: those that decide results, and those that do not.

    The latter are marked `changes_results=False`, or are paths of what is known by its content.
    """
    deciding, free = section.model_dump(mode="json"), {}
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        if extra.get("changes_results") is False or known.by_content(value, extra.get("place")):
            free[name] = deciding.pop(name)
        elif isinstance(value, Section):
            deciding[name], inner = split(value)
            if inner:
                free[name] = inner
        elif name == "members":
            deciding[name] = {each: _set(member, deciding[name][each]) for each, member in value.items()}
    return _set(section, deciding), free


def _set(owner: object, values: Any) -> Any:
    """Without null where that is the default: it reads back as it is, and what is new and not used is no change."""
    if not isinstance(values, dict):
        return values
    fields = type(owner).model_fields if isinstance(owner, Section) else getattr(owner, "__dataclass_fields__", {})
    empty = {name for name, field in fields.items() if field.default is None}
    return {name: value for name, value in values.items() if value is not None or name not in empty}


def describe_members(cell: Cell) -> list[Described]:
    """Rows for the members of a cell."""
    return [
        Described(
            name=name,
            kind=cell.architecture,
            ratio=cell.ratio,
            l1=member.l1,
            k=int(member.l0) if member.l0 is not None and methods.of(cell.architecture).whole else member.k,
            l0_target=member.l0,
            seed=member.seed,
            control=cell.control,
            tokens=member.tokens,
        )
        for name, member in zip(cell.member_names, cell.members, strict=True)
    ]


def describe_baselines(params: Params, site: str, topk: bool) -> list[Described]:
    """Rows for the baselines of a site, with or without the top-k variants."""
    return [
        Described(name=grid.baseline_name(method, k), kind=method, k=k, seed=params.baselines.seed)
        for method, k in grid.baselines_of(params.baselines, site)
        if topk or k is None
    ]


def describe_published(params: Params, site: str) -> list[Described]:
    """Rows for the dictionaries of a site that were trained elsewhere, before their files are read."""
    kind = methods.PUBLISHED_PAIR if sites.is_pair(site) else methods.PUBLISHED
    return [Described(name=name, kind=kind) for name in grid.published(params, site)]


def dataset(params: Params) -> DatasetSlice:
    """Everything about the corpus, and the model for its tokenizer."""
    return DatasetSlice(model=params.model, dataset=params.dataset)


def activations(params: Params, random_weights: bool, sites: list[str]) -> ActivationsSlice:
    """Sites of the trained model, or their controls in the model with random weights, that one pass harvests."""
    control = params.autointerp.random_weights
    seed = control.seed if random_weights and control else None
    return ActivationsSlice(
        model=params.model, members=dict.fromkeys(sites), activations=_stored(params), random_seed=seed
    )


def import_activations(params: Params, site: str) -> ImportSlice:
    """How the vectors of an imported site are stored and split."""
    return ImportSlice(site=site, held_out_share=params.dataset.held_out_share, activations=_stored(params))


def _stored(params: Params) -> Activations:
    """How activations are stored; which other sites were imported is nobody's business."""
    return params.activations.model_copy(update={"imported": {}})


def dictionaries(params: Params, cell: Cell) -> DictionariesSlice:
    """One cell with its members, and what its architecture reads of the settings."""
    common = params.dictionaries.model_dump(include=set(Training.model_fields))
    own = params.dictionaries.of(cell.architecture)
    if not params.dictionaries.normalise and hasattr(own, "vector_length"):  # they are as long as they are
        own = own.model_copy(update={"vector_length": "unit"})
    return DictionariesSlice(
        site=cell.site,
        architecture=cell.architecture,
        ratio=cell.ratio,
        members=dict(zip(cell.member_names, cell.members, strict=True)),
        training=Training(**common),
        own=own,
        penalty_warmup=own.penalty_warmup,
        control=cell.control,
    )


def baselines(params: Params, site: str) -> BaselinesSlice:
    """The baselines of one site."""
    members = {row.name: _baseline(params, row) for row in describe_baselines(params, site, topk=True)}
    return BaselinesSlice(site=site, members=members)


def _baseline(params: Params, row: Described) -> BaselineMember:
    own, about = params.baselines, methods.of(row.kind)
    differs = about.original == "all" or (about.original == "variants" and row.k is not None)
    reads = {name: getattr(own, setting) for name, setting in about.reads.items()}
    return BaselineMember(method=row.kind, k=row.k, original=own.original and differs, **reads)


def published(params: Params, name: str) -> PublishedSlice:
    """One dictionary that was trained elsewhere: where it lies, and what it is of."""
    one = params.published.dictionaries[name]
    return PublishedSlice(name=name, site=one.site, dictionary=one)


def evaluation(params: Params, site: str) -> EvaluationSlice:
    """Every trained dictionary, here or elsewhere, and every baseline of one site."""
    trained = [row for cell in grid.cells(params, site) for row in describe_members(cell)]
    others = describe_baselines(params, site, topk=True) if grid.is_grid_site(params, site) else []
    model = None if site in params.activations.imported else params.model
    members = {row.name: row for row in (*trained, *describe_published(params, site), *others)}
    return EvaluationSlice(site=site, model=model, members=members, evaluation=params.evaluation)


def autointerp(params: Params, site: str) -> AutointerpSlice | AutointerpLlmSlice:
    """What token rules see of a site, or what language models do, by the scorer of params.yaml."""
    own, members = params.autointerp, _interpreted(params, site)
    sampling = Sampling(**own.model_dump(include=set(Sampling.model_fields)))
    if own.scorer == "token-rules" or own.llm is None:
        return AutointerpSlice(site=site, members=members, sampling=sampling, rules=own.rules)
    caps = Caps(**own.llm.connection.model_dump(include=set(Caps.model_fields)))
    return AutointerpLlmSlice(
        site=site,
        members=members,
        sampling=sampling,
        scorer=own.scorer,
        llm=own.llm.read_by(own.scorer).model_copy(update={"server": own.llm.served_by}),  # the address decides nothing
        partial=caps if own.accept_partial else None,
    )


def _interpreted(params: Params, site: str) -> dict[str, Scored]:
    found = grid.interpreted(params, site)
    rows = [row for cell in found.cells for row in describe_members(cell)]
    rows += describe_published(params, site)
    others = describe_baselines(params, site, topk=False) if found.baselines else []
    rows += [row for row in others if not methods.of(row.kind).constant]
    return {row.name: Scored(**row.model_dump(), shuffled_null=row.name == found.null) for row in rows}


def tables(names: list[str]) -> TablesSlice:
    """What is gathered."""
    return TablesSlice(names=tuple(names))


def autointerp_tables(params: Params, names: list[str]) -> AutointerpTablesSlice:
    """What is gathered, and how its means are resampled."""
    return AutointerpTablesSlice(names=tuple(names), bootstrap=params.autointerp.bootstrap)


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
        kinds=about({row.kind for row in evaluation(params, site).members.values()}),
    )


def about(kinds: Iterable[str]) -> dict[str, Any]:
    """What `methods` says of some kinds: a row of another one makes no figure stale."""
    return {kind: json.loads(json.dumps(asdict(methods.of(kind)))) for kind in sorted(kinds)}


def transformer(params: Params) -> Transformer:
    """Its section of params, nothing else."""
    return params.transformer

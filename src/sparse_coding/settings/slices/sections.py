"""What each step sees: the settings of one job, as its step is given them."""

from dataclasses import replace
from typing import Any

from pydantic import ConfigDict, Field, SerializeAsAny, model_validator

from sparse_coding import methods
from sparse_coding.settings.grid import Member
from sparse_coding.settings.params import (
    Activations,
    Architecture,
    Baseline,
    Caps,
    Control,
    Dataset,
    Evaluation,
    Llm,
    LlmScorer,
    Model,
    Own,
    Plots,
    PublishedDictionary,
    Sampling,
    Section,
    Training,
    own_section,
)


class DatasetSlice(Section):
    """The tokenizer comes with the model."""

    model: Model
    dataset: Dataset


class ActivationsSlice(Section):
    """The sites of one model that one pass harvests."""

    model: Model
    members: dict[str, None]  # sites: all trained, or all random_...
    activations: Activations
    random_seed: int | None = None  # seed of the random weights, for control sites


class ImportSlice(Section):
    """A site whose vectors were made elsewhere."""

    site: str
    held_out_share: float
    activations: Activations


class DictionariesSlice(Section):
    """One cell: a step trains exactly these members. Of other architectures it knows nothing."""

    site: str
    architecture: Architecture
    ratio: float
    members: dict[str, Member]
    training: Training
    own: SerializeAsAny[Own]  # the section of its architecture
    penalty_warmup: float  # what that makes of it: share of the steps in which the penalty is warmed up
    control: Control | None = None  # what is held: core.controls

    @property
    def trainings(self) -> list[Member]:
        """What is trained: a snapshot is of the training of its member."""
        return list(dict.fromkeys(replace(member, tokens=None) for member in self.members.values()))

    @model_validator(mode="before")
    @classmethod
    def _read_own(cls, given: Any) -> Any:
        """The class of `own` is that of the architecture, also where it was written as JSON."""
        if not isinstance(given, dict) or not isinstance(given.get("own"), dict):
            return given
        if given.get("architecture") not in methods.LEARNED:
            return given  # refused as such
        return given | {"own": own_section(given["architecture"]).model_validate(given["own"])}


class BaselineMember(Section):
    """One baseline, with those of its settings that its method reads: beside these fields, as `methods` has them."""

    model_config = ConfigDict(extra="allow")

    method: Baseline
    k: int | None = None  # of a top-k variant
    original: bool = False  # as core.baselines.original

    @model_validator(mode="after")
    def _only_what_is_read(self) -> "BaselineMember":
        """Of others nobody would hear that they count for nothing, and one too few would be missed in its fit."""
        wanted = methods.of(self.method).reads.keys()
        if self.reads.keys() != wanted:
            raise ValueError(f"beside method, k and original {', '.join(wanted) or 'nothing'}: {self.method} reads it")
        return self

    @property
    def reads(self) -> dict[str, Any]:
        """What its method reads, by name."""
        return self.model_extra or {}


class BaselinesSlice(Section):
    """Baselines of one site."""

    site: str
    members: dict[str, BaselineMember]


class PublishedSlice(Section):
    """One dictionary that was trained elsewhere."""

    name: str
    site: str
    dictionary: PublishedDictionary


class Described(Section):
    """What tables say about one dictionary."""

    name: str
    kind: str  # architecture or baseline method; of one that was trained elsewhere, its file has the rest
    ratio: float | None = None
    l1: float | None = None
    k: int | None = None
    l0_target: float | None = None  # `l0` of tables is the measured one
    seed: int | None = None
    control: Control | None = None
    tokens: int | None = None  # of a snapshot: vectors seen until then


class EvaluationSlice(Section):
    """Dictionaries and baselines of one site."""

    site: str
    model: Model | None  # None for imported activations: no model to splice into
    members: dict[str, Described]
    evaluation: Evaluation


class TablesSlice(Section):
    """The dictionaries whose results are gathered, in this order."""

    names: tuple[str, ...]


class SummarySlice(Section):
    """Gathering all sites needs no settings."""


class Scored(Described):
    """A dictionary that is interpreted."""

    shuffled_null: bool = False  # also with positions shuffled


class AutointerpSlice(Section):
    """The dictionaries of one site that are interpreted by token rules."""

    site: str
    members: dict[str, Scored]
    sampling: Sampling
    rules: int


class AutointerpLlmSlice(Section):
    """The dictionaries of one site that are interpreted by language models."""

    site: str
    members: dict[str, Scored]
    sampling: Sampling
    scorer: LlmScorer
    llm: Llm
    partial: Caps | None  # what a table that stops at a cap hangs on; None: no such table is made


class AutointerpTablesSlice(TablesSlice):
    """And how their means are resampled."""

    bootstrap: int


class PlotsSlice(Section):
    """One figure, and what its title says."""

    site: str
    model: str | None  # None for imported activations, as the next two
    corpus: str | None
    train_tokens: int | None
    bootstrap: int
    plots: Plots
    kinds: dict[str, Any] = Field(default={})  # what `methods` says of those in its tables

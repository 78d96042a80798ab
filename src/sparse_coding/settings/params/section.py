"""What a section of `params.yaml` is made of: documented fields, ranges of numbers, and what sections share."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticCustomError

from sparse_coding import methods, variants

Architecture = Literal[methods.LEARNED]  # type: ignore[valid-type]
Baseline = Literal[methods.BASELINES]  # type: ignore[valid-type]
OfSites = Literal[methods.OF_SITES]  # type: ignore[valid-type]
OfPairs = Literal[methods.OF_PAIRS]  # type: ignore[valid-type]
Signed = Literal[methods.SIGNED]  # type: ignore[valid-type]
Control = methods.Control
Optimiser = Literal[tuple(methods.OPTIMISERS)]  # type: ignore[valid-type]
VariantName = Literal[variants.NAMES]  # type: ignore[valid-type]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def setting(
    default: Any,
    doc: str,
    *,
    unit: str = "",
    source: str = "",
    changes_results: bool = True,
    place: Literal["files", "model"] | None = None,
    **constraints: Any,
) -> Any:
    """A documented field; the reference page docs/params.md is made from these words.

    place: it may be a path, which changes no result where what lies there is known by its content (outside.py).
    """
    extra: dict[str, Any] = {"unit": unit, "source": source, "changes_results": changes_results, "place": place}
    return Field(default=default, description=doc, json_schema_extra=extra, **constraints)


AT = "at"  # the kind of error that names a place below the section that it is raised in


def refused(at: str, found: object, wanted: str) -> PydanticCustomError:
    """To be raised where fields of a section do not go together: of that field, not of the whole section."""
    return PydanticCustomError(AT, "{wanted}", {"at": at, "found": found, "wanted": wanted})


def filled_and_distinct(values: tuple) -> tuple:
    """Validate a list of a grid."""
    if not values:
        raise ValueError("at least one value")
    return distinct(values)


def distinct(values: tuple) -> tuple:
    """Validate a list that may be empty."""
    if len(set(values)) != len(values):
        raise ValueError("each value once")
    return values


def named_apart(values: tuple[float, ...]) -> tuple[float, ...]:
    """Validate numbers that names of files are made of: six digits of each. Of two with one name, one would vanish."""
    names: dict[str, float] = {}
    for value in values:
        name = f"{value:g}"
        if name in names:
            raise ValueError(f"values that differ in six digits: {names[name]!r} and {value!r} are both called {name}")
        names[name] = value
    return values


class Section(BaseModel):
    """A part of params.yaml: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), validate_default=True)


class Optimisation(Section):
    """How gradient descent goes, on whatever vectors."""

    steps: Count = setting(1000, "Optimiser steps.", unit="steps")
    batch: Count = setting(1024, "Vectors in a step.", unit="vectors")
    warmup_share: Share = setting(0.05, "Steps of linear warm-up of the rate.", unit="share of steps")
    decay_share: Share = setting(0.3, "Last steps, of linear decay of the rate to zero.", unit="share of steps")
    beta1: Annotated[float, Field(ge=0, lt=1)] = setting(
        0.9, "Adam's decay of the first moment.", source="Kingma & Ba 2015"
    )
    beta2: Annotated[float, Field(ge=0, lt=1)] = setting(
        0.999, "Adam's decay of the second moment.", source="Kingma & Ba 2015"
    )
    eps: Positive = setting(1e-8, "Adam's epsilon.", source="Kingma & Ba 2015")


class WithL1(Section):
    """What a ReLU with an L1 penalty reads."""

    l1_warmup_share: Share = setting(0.1, "Steps of linear warm-up of the L1 penalty.", unit="share of steps")
    initial_density: Annotated[float, Field(gt=0, lt=1)] | None = setting(
        0.1,
        "Codes that are positive before the first step, by one bias for all features; null: biases of 0, half of them.",
        unit="share of codes",
        source="docs/decisions.md: first steps",
    )

    @property
    def penalty_warmup(self) -> float:
        """Share of the steps in which the penalty is warmed up."""
        return self.l1_warmup_share

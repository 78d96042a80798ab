"""What every section of params.yaml is made of: closed, frozen, each field with its words."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Architecture = Literal["tied", "untied", "topk"]
Baseline = Literal["pca", "ica", "nmf", "neuron_basis", "random"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def setting(
    default: Any, doc: str, *, unit: str = "", source: str = "", changes_results: bool = True, **constraints: Any
) -> Any:
    """A documented field; the reference page docs/params.md is made from these words."""
    extra: dict[str, Any] = {"unit": unit, "source": source, "changes_results": changes_results}
    return Field(default=default, description=doc, json_schema_extra=extra, **constraints)


class Section(BaseModel):
    """A part of params.yaml: frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), validate_default=True)

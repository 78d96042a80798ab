"""docs/params.md, made from the schema: every section, field, unit, default and source."""

import sys
import types
import typing
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from sparse_coding.ending_quietly import ending_quietly
from sparse_coding.settings.params import Params

HEADER = """# Settings: params.yaml

Made from `src/sparse_coding/settings/params/` by `make docs`; a test fails when the two differ. A field that is left
out keeps its default. Fields marked * change no result, only the portions in which work is done.

The file is YAML 1.2. What readers of YAML take in two ways is refused, with the place: a key that stands twice, a
decimal comma, a number that begins with 0. So are names that would stand for two things: values of `l1` or `ratios`
that agree in six digits, sites whose steps or files would have one name, and a part of `only` that matches nothing.
"""


def page() -> str:
    """The whole reference page, Markdown."""
    return "\n".join([HEADER, *(_section(name, field) for name, field in Params.model_fields.items())])


def _section(name: str, field: FieldInfo) -> str:
    model = typing.cast(type[BaseModel], field.annotation)
    rows = _rows(model, prefix="")
    title = f"## {name}\n\n{(model.__doc__ or '').strip()}\n"
    return "\n".join([title, "| field | unit | default | meaning |", "|---|---|---|---|", *rows, ""])


def _rows(model: type[BaseModel], prefix: str) -> list[str]:
    rows = []
    for name, field in model.model_fields.items():
        extra: dict[str, Any] = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
        nested, each = _nested(field.annotation), _of_each(field.annotation)
        star = "" if extra.get("changes_results", True) else "*"
        meaning = (field.description or "").replace("|", "\\|")
        if extra.get("source"):
            meaning += f" ({extra['source']})"
        default = "(needed)" if field.is_required() else "" if nested else f"`{_plain(field.default)}`"
        rows.append(f"| `{prefix}{name}`{star} | {extra.get('unit', '')} | {default} | {meaning} |")
        if nested:
            rows += _rows(nested, f"{prefix}{name}.")
        if each:
            rows += _rows(each, f"{prefix}{name}.NAME.")
    return rows


def _nested(annotation: Any) -> type[BaseModel] | None:
    options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
    return next((option for option in options if isinstance(option, type) and issubclass(option, BaseModel)), None)


def _of_each(annotation: Any) -> type[BaseModel] | None:
    """What a mapping has under each of its names, where that is a section."""
    return next(
        (each for each in typing.get_args(annotation)[1:] if typing.get_origin(annotation) is dict and _nested(each)),
        None,
    )


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_plain(item) for item in value)}]"
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def main() -> int:
    """Print it."""
    print(page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(ending_quietly(main))

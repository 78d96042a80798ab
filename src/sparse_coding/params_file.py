"""Read params.yaml, and say what is wrong with it in one line."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from sparse_coding import sites
from sparse_coding.errors import BadInput
from sparse_coding.params import Autointerp, Params, Section


def load(path: Path) -> Params:
    """Read and check a params file. Raises BadInput naming the file, the field, the value and what is wanted."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(path, "no such file", "a params file; `make preset NAME=tiny` makes one") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(path, f"text that is not YAML ({' '.join(str(error).split())})", "YAML") from None
    if not isinstance(raw, dict):
        raise BadInput(path, f"{type(raw).__name__} {raw!r}", "sections such as grid: and dataset:")
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        raise first_problem(path, error, Params) from None
    _check_sites(path, params)
    _check_llm(path, params.autointerp)
    return params


def _check_sites(path: Path, params: Params) -> None:
    for name in params.grid.sites:
        if name in params.activations.imported:
            continue
        try:
            site = sites.parse(name)
        except BadInput:
            wanted = f"{sites.WANTED}, or a name under activations.imported"
            raise BadInput(f"{path}: grid.sites", repr(name), wanted) from None
        if site.random_weights:
            wanted = f"{site.trained.name}: its control comes with autointerp.random_weights"
            raise BadInput(f"{path}: grid.sites", repr(name), wanted)


def _check_llm(path: Path, autointerp: Autointerp) -> None:
    """Models are named, and spending is bounded, before anything is asked."""
    place = f"{path}: autointerp.llm"
    if autointerp.scorer == "token-rules":
        return
    if autointerp.llm is None:
        raise BadInput(place, "nothing", f"explainer, judge and base_url: {autointerp.scorer} asks a language model")
    connection = autointerp.llm.connection
    if connection.max_cost is connection.max_tokens is connection.max_requests is None:
        raise BadInput(f"{place}.connection", "no cap", "one of max_cost, max_tokens, max_requests")
    without = sorted({autointerp.llm.explainer, autointerp.llm.judge} - set(connection.prices))
    if connection.max_cost is not None and without:
        raise BadInput(f"{place}.connection.prices", f"no price of {', '.join(without)}", "one, as max_cost is set")


def first_problem(source: object, error: ValidationError, model: type[Section]) -> BadInput:
    """The first of the problems that pydantic found in `source`, read as a `model`, in one line."""
    first = error.errors()[0]
    place = ": ".join(str(part) for part in (source, ".".join(map(str, first["loc"]))) if part)
    if first["type"] == "extra_forbidden":
        return BadInput(place, f"an unknown key (value {first['input']!r})", _known_keys(model, first["loc"]))
    wanted = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return BadInput(place, repr(first["input"]), wanted.replace("valid tuple", "list"))


def _known_keys(model: Any, location: tuple) -> str:
    for part in location[:-1]:
        annotation = (
            model.model_fields[part].annotation if isinstance(part, str) and part in model.model_fields else None
        )
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return "a key that docs/params.md lists"
        model = annotation
    return "one of " + ", ".join(model.model_fields)

"""Read params.yaml, and say what is wrong with it in one line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from sparse_coding import methods
from sparse_coding.errors import BadInput
from sparse_coding.settings import grid_checks, moved, strict_yaml
from sparse_coding.settings.params import Autointerp, Llm, LlmScorer, Params, Section
from sparse_coding.settings.params.section import AT
from sparse_coding.settings.strict_yaml import Place, Read
from sparse_coding.variants import BY_NAME, FITTED


def load(path: Path) -> Params:
    """Read and check a params file. Raises BadInput naming the file, the field, the value and what is wanted."""
    try:
        read = strict_yaml.read(path)
    except FileNotFoundError:
        raise BadInput(path, "no such file", "a params file; `make preset NAME=tiny` makes one") from None
    raw = read.value
    if not isinstance(raw, dict):
        raise BadInput(path, f"{type(raw).__name__} {raw!r}", "sections such as grid: and dataset:")
    try:
        params = Params.model_validate(raw)
    except ValidationError as error:
        if moved.in_dictionaries(raw.get("dictionaries")):
            raise moved.refusal(str(path), raw["dictionaries"]) from None
        place = error.errors()[0]["loc"]
        for list_ in (place, place[:-1]):
            if list_ in read.commas:
                raise strict_yaml.comma(path, list_, read.commas[list_]) from None
        raise first_problem(path, error, Params) from None
    _check_numbers(path, read, params)
    grid_checks.check(path, params)
    _check_variants(path, params)
    _check_llm(path, params.autointerp)
    return params


def _check_numbers(path: Path, read: Read, params: Params) -> None:
    """What pydantic takes for a number, and a person may not have meant as that one."""
    taken = dict(_leaves(params.model_dump()))
    for place, value in _leaves(read.value):
        if isinstance(value, bool) and type(taken.get(place)) in (int, float):
            raise BadInput(strict_yaml.dotted(path, place), str(value).lower(), "a number")
    for place, text in read.commas.items():
        if isinstance(taken.get((*place, 0)), float):  # lists of whole numbers, such as seeds, may well begin with 0
            raise strict_yaml.comma(path, place, text)


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    if isinstance(value, dict | list | tuple):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _leaves(inner, (*place, key))
    else:
        yield place, value


def _check_variants(path: Path, params: Params) -> None:
    """What is asked for is one of some dictionary, and what is fitted has vectors to be fitted on."""
    evaluation, kinds = params.evaluation, params.grid.architectures
    for name in evaluation.variants or ():
        having = [kind for kind in methods.LEARNED if BY_NAME[name].is_of(kind, None)]
        if not set(having) & set(kinds) and (BY_NAME[name].is_fitted or not params.baselines.topk_methods):
            wanted = f"it with one of {', '.join(having)} in grid.architectures"
            raise BadInput(f"{path}: evaluation.variants", f"{name}, which {', '.join(kinds)} cannot have", wanted)
    fitted = [name for name in evaluation.variants or () if name in FITTED]
    if fitted and evaluation.gain_refit_rows is None:
        wanted = f"a number of vectors: {', '.join(fitted)} of evaluation.variants is fitted on them"
        raise BadInput(f"{path}: evaluation.gain_refit_rows", "null", wanted)


def _check_llm(path: Path, autointerp: Autointerp) -> None:
    """Models are named, and spending is bounded, before anything is asked."""
    place = f"{path}: autointerp.llm"
    if autointerp.scorer == "token-rules":
        return
    if autointerp.llm is None:
        raise BadInput(place, "nothing", f"explainer, judge and connection: {autointerp.scorer} asks a language model")
    asked = _asked(place, autointerp.scorer, autointerp.llm)
    connection = autointerp.llm.connection
    if connection.max_cost is connection.max_tokens is connection.max_requests is None:
        raise BadInput(f"{place}.connection", "no cap", "one of max_cost, max_tokens, max_requests")
    without = sorted(asked - set(connection.prices))
    if connection.max_cost is not None and without:
        raise BadInput(f"{place}.connection.prices", f"no price of {', '.join(without)}", "one, as max_cost is set")


def _asked(place: str, scorer: LlmScorer, llm: Llm) -> set[str]:
    """The models that are asked, each of them named; and an embedding model where one is needed."""
    needed = {"intruder": ("judge",), "embedding": ("explainer", "embedder")}.get(scorer, ("explainer", "judge"))
    for name in needed:
        if not getattr(llm, name):
            what = "a folder in Hugging Face format" if name == "embedder" else "the name of a model"
            raise BadInput(f"{place}.{name}", "nothing", f"{what}: scorer {scorer} needs one")
    return {getattr(llm, name) for name in needed if name != "embedder"}


def first_problem(source: object, error: ValidationError, model: type[Section]) -> BadInput:
    """The first of the problems that pydantic found in `source`, read as a `model`, in one line."""
    first = _plainly(_of_choice(error.errors(), model), model)
    place = ": ".join(str(part) for part in (source, ".".join(map(str, first["loc"]))) if part)
    if first["type"] == "extra_forbidden" and first["loc"] in moved.OTHERS:
        return BadInput(place, "a setting that has moved", moved.OTHERS[first["loc"]])
    if first["type"] == "extra_forbidden":
        return BadInput(place, f"an unknown key (value {first['input']!r})", _known_keys(model, first["loc"]))
    wanted = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ").replace("valid tuple", "list")
    if first["type"] == "string_type":
        wanted += ", in quotes"
    if isinstance(first["input"], str) and "," in first["input"]:
        wanted += "; decimals with a point"
    return BadInput(place, repr(first["input"]), wanted)


def _plainly(first: Any, model: type[Section]) -> Any:
    """A problem between fields of a section at the field that it names; what a section is that is none."""
    if first["type"] == AT:
        at = first["ctx"]
        return first | {"loc": (*first["loc"], *at["at"].split(".")), "input": at["found"]}
    if first["type"] in ("model_type", "dataclass_type"):
        return first | {"msg": "a section of " + _known_keys(model, (*first["loc"], "")).removeprefix("one of ")}
    return first


def _of_choice(errors: list[Any], model: type[Section]) -> Any:
    """The first of them. Of a field that may be of two types, pydantic has those of both, each below a name for it: of
    a mapping that of the section, of anything else one that says both, at the field itself."""
    first = errors[0]
    *field, tag = first["loc"] or ("",)
    others = [each for each in errors[1:] if [*each["loc"][: len(field)]] == field]
    if not others or (tag != "bool" and not str(tag).startswith("literal[")):
        return first
    if tag == "bool":
        return first | {"loc": (*field,), "msg": f"{others[0]['msg']}, true or false"}
    if isinstance(first["input"], dict):
        return others[0] | {"loc": (*field, *others[0]["loc"][len(field) + 1 :])}
    keys = _known_keys(model, (*field, "")).removeprefix("one of ")
    return first | {"loc": (*field,), "msg": f"{first['msg']}, or a section of {keys}"}


def _known_keys(model: Any, location: tuple) -> str:
    for part in location[:-1]:
        if isinstance(part, int) or part not in model.model_fields:  # of a list or mapping: each is of its section
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        sections = [each for each in (annotation, *get_args(annotation)) if _is_section(each)]
        if not sections:
            return "a key that docs/params.md lists"
        model = sections[0]
    return "one of " + ", ".join(model.model_fields)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)

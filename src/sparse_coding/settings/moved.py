"""Settings of earlier versions, and where they stand now."""

from typing import Any

import yaml

from sparse_coding.errors import BadInput
from sparse_coding.settings.params import Dictionaries
from sparse_coding.settings.params.dictionaries import Own

# Once of all architectures, and now of those that read them; only these kinds there were.
KINDS = ("tied", "untied", "topk")
OWN = ("l1_warmup_share", "initial_density", "initial_weights", "free_lengths", "learned_centre")
RATES, GROWS = "lr", "lr_grows_to"
OTHERS = {
    ("autointerp", "llm", "base_url"): "autointerp.llm.connection.base_url; answers that were kept are found there too",
}


def in_dictionaries(section: Any) -> list[str]:
    """The keys of a section `dictionaries`, as it was read, that stood there before; empty for one of today."""
    return [key for key in section if key in (RATES, *OWN)] if isinstance(section, dict) else []


def lines(section: dict[str, Any]) -> list[str]:
    """What to put into the section in place of the keys of before, a line an architecture, without indentation.

    A value that an architecture does not read is left away: it did nothing.
    """
    found = {kind: own_of(section, kind) | (section.get(kind) or {}) for kind in KINDS}
    return [f"{kind}: {_flow(own)}" for kind, own in found.items() if own]


def own_of(section: dict[str, Any], kind: str) -> dict[str, Any]:
    """What an architecture reads of the keys of before."""
    rates = section.get(RATES)
    own: dict[str, Any] = {RATES: rates[kind]} if isinstance(rates, dict) and kind in rates else {}
    if own and GROWS in _section(kind).model_fields:
        own[GROWS] = None  # it was one rate for all k
    return own | {key: section[key] for key in OWN if key in section and key in _section(kind).model_fields}


def refusal(place: str, section: dict[str, Any]) -> BadInput:
    """What is said of a section of before, with the lines to put."""
    keys = in_dictionaries(section)
    new = "; ".join(f"`{line}`" for line in lines(section)) or "nothing"
    wanted = f"in their place {new}; `sparse_coding migrate` shows the new file and writes it"
    return BadInput(f"{place}: dictionaries", f"{', '.join(keys)}, which each architecture now has for itself", wanted)


def _section(kind: str) -> type[Own]:
    return type(Dictionaries().of(kind))


def _flow(values: dict[str, Any]) -> str:
    return yaml.safe_dump(values, default_flow_style=True, sort_keys=False, width=1_000_000).strip()


def rewritten(text: str, place: str) -> str:
    """A params file with the lines of today in place of those of before; all else, comments too, as it was.

    Raises BadInput, naming the lines to put, where the section is written in braces, or with anchors (`&`, `*`, `<<`)
    so that lines that go would be missed elsewhere.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    section = next((value for key, value in _pairs(root) if key.value == "dictionaries"), None)
    read = yaml.safe_load(text)["dictionaries"] if section is not None else {}
    if not in_dictionaries(read):
        return text
    if section is None or section.flow_style:
        raise refusal(place, read)
    written = text.splitlines(keepends=True)
    pairs = _pairs(section)
    going = [(key, value) for key, value in pairs if key.value in (RATES, *OWN) or key.value in KINDS]
    if not going:  # they are taken from elsewhere, by `<<`
        raise refusal(place, read)
    first, indent = going[0][0].start_mark.line, " " * going[0][0].start_mark.column
    put = [f"{indent}{line}\n" for line in lines(read)]
    gone: set[int] = set()
    for key, value in going:
        span = range(key.start_mark.line, _last_line(value) + 1)
        gone |= set(span)
        put[:0] = [f"{indent}{said}\n" for number in span if (said := _comment(written[number]))]
    kept = [line for number, line in enumerate(written) if number not in gone]
    at = first - sum(number < first for number in gone)
    after = "".join([*kept[:at], *put, *kept[at:]])
    if not _means_the_same(after, yaml.safe_load(text)):
        raise refusal(place, read)
    return after


def _means_the_same(after: str, before: dict[str, Any]) -> bool:
    """Whether a file can be read, and has of today what `before` had of before, and all else."""
    try:
        found = yaml.safe_load(after)
    except yaml.YAMLError:
        return False
    old, going = before["dictionaries"], (RATES, *OWN, *KINDS)
    new = yaml.safe_load("\n".join(lines(old))) or {}
    section = new | {key: value for key, value in old.items() if key not in going}
    return found == before | {"dictionaries": section or None}


def _pairs(node: Any) -> list[tuple[Any, Any]]:
    return list(node.value) if isinstance(node, yaml.MappingNode) else []


def _last_line(value: yaml.Node) -> int:
    """The last line that a value stands on: where a block ends, the mark is on the line after it."""
    if isinstance(value, yaml.MappingNode) and not value.flow_style and value.value:
        return _last_line(value.value[-1][1])
    return value.end_mark.line


def _comment(line: str) -> str:
    """What a line says to people; values of these settings have no `#`."""
    return line[line.index("#") :].strip() if "#" in line else ""

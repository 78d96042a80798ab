"""YAML in which a value means what stands there, and nothing is read by a guess.

Scalars follow the core schema of YAML 1.2, and where that is in doubt they stay text, which a field of numbers reads.
PyYAML's own loader follows YAML 1.1, where `no` is false, `1:30` is 90 and `010` is eight; and of a key that stands
twice it silently takes the last one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import ComposerError
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from sparse_coding.errors import BadInput

Place = tuple[str | int, ...]  # keys and indices, from the top
AS_TEXT = "quotes around it where text is meant"

_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_DECIMAL_COMMA = re.compile(r"[-+]?[0-9]+,[0-9]+")
_DIGITS = re.compile(r"[-+]?[0-9]+")
_TEXT, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float"))


class _Loader(yaml.SafeLoader):
    """What the core schema of YAML 1.2 resolves, and merge keys; without octal and hexadecimal numbers, and without
    `1e5`, which may be a commit."""

    yaml_implicit_resolvers: dict[str, list] = {}  # noqa: RUF012 (a table of PyYAML's, which the lines below fill)

    def compose_scalar_node(self, anchor: Any) -> ScalarNode:
        """A scalar. A tag says that it is text, as quotes do; what it would make another thing of is refused."""
        event = self.peek_event()
        node = super().compose_scalar_node(anchor)
        if event.tag == _TEXT:
            node.style = node.style or "'"
        elif event.tag not in (None, "!"):
            plain = self.resolve(ScalarNode, node.value, (True, False))
            if node.tag != plain and (node.tag, plain) != (_FLOAT, _INT):
                raise ComposerError(None, None, f"{node.value!r} is not what its tag says", node.start_mark)
        return node


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)\.[0-9]*)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


@dataclass(frozen=True)
class Read:
    """What a file holds. commas: lists such as [0,5], without a space, that may be meant as a decimal number."""

    value: Any
    commas: dict[Place, str] = field(default_factory=dict)


def read(path: Path) -> Read:
    """Read a YAML file. Raises FileNotFoundError, and BadInput naming the file, the place and what is wanted for text
    that is not YAML, a key that stands twice, and numbers that two readers would take for different ones."""
    try:
        loader = _Loader(path.read_text(encoding="utf-8"))
        node = loader.get_single_node()
        commas = dict(_checked(path, node, (), set())) if node is not None else {}
        return Read(loader.construct_document(node) if node is not None else None, commas)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(path, f"text that is not YAML ({' '.join(str(error).split())})", "YAML") from None


def dotted(path: Path, place: Place) -> str:
    """A place in a file, for messages: `params.yaml: grid.l1.0`."""
    return ": ".join(str(part) for part in (path, ".".join(map(str, place))) if part)


def comma(path: Path, place: Place, text: str) -> BadInput:
    """The error for a decimal number with a comma."""
    return BadInput(
        dotted(path, place),
        f"{text}, which is two values to YAML",
        f"a decimal point, {text.replace(',', '.', 1)}; or a space after the comma where two values are meant",
    )


def _checked(path: Path, node: Node, place: Place, seen: set[int]) -> Iterator[tuple[Place, str]]:
    """Raise BadInput for what is read in two ways below `node`; yield lists that may be a number with a comma."""
    if id(node) in seen:  # an alias
        return
    seen.add(id(node))
    if isinstance(node, MappingNode):
        _keys_once(path, node, place)
        _cut_in_two(path, node, place)
        for key, value in node.value:
            yield from _checked(path, value, (*place, str(key.value)), seen)
    elif isinstance(node, SequenceNode):
        yield from _commas(path, node, place)
        for index, value in enumerate(node.value):
            yield from _checked(path, value, (*place, index), seen)
    elif isinstance(node, ScalarNode) and node.style is None:
        _one_number(path, node, place)


def _keys_once(path: Path, node: MappingNode, place: Place) -> None:
    lines: dict[tuple[str, str], int] = {}
    for key, _ in node.value:
        name, line = (key.tag, str(key.value)), key.start_mark.line + 1
        if name in lines:
            found = f"the key twice, in lines {lines[name]} and {line}"
            raise BadInput(dotted(path, (*place, name[1])), found, "it once: only the last one would count")
        lines[name] = line


def _cut_in_two(path: Path, node: MappingNode, place: Place) -> None:
    """In {tied: 0,02}, 02 is a key of its own, with nothing under it."""
    for (key, one), (other, nothing) in pairwise(node.value):
        if _adjoin(one, other) and isinstance(nothing, ScalarNode) and not nothing.value:
            raise comma(path, (*place, str(key.value)), f"{one.value},{other.value}")


def _adjoin(one: Node, other: Node) -> bool:
    """Whether two values are digits, with nothing but a comma between them."""
    plain = isinstance(one, ScalarNode) and isinstance(other, ScalarNode) and one.style is other.style is None
    close = plain and other.start_mark.index == one.end_mark.index + 1
    return close and bool(_DIGITS.fullmatch(one.value) and _DIGITS.fullmatch(other.value))


def _one_number(path: Path, node: ScalarNode, place: Place) -> None:
    text = node.value
    if _LEADING_ZERO.fullmatch(text):
        plain = text.replace("_", "")
        wanted = f"{int(plain)}: with a zero before it, it is octal to some readers of YAML; {AS_TEXT}"
        raise BadInput(dotted(path, place), text, wanted)
    if _DECIMAL_COMMA.fullmatch(text):
        raise BadInput(dotted(path, place), text, f"a decimal point, {text.replace(',', '.')}; {AS_TEXT}")


def _commas(path: Path, node: SequenceNode, place: Place) -> Iterator[tuple[Place, str]]:
    """Neighbours in a list with nothing but a comma between them, where the first is 0 or the second begins with it."""
    for one, other in pairwise(node.value):
        if not _adjoin(one, other):
            continue
        text = f"{one.value},{other.value}"
        if _LEADING_ZERO.fullmatch(other.value):
            raise comma(path, place, text)
        if int(one.value) == 0:
            yield place, text

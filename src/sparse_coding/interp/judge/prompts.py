"""The prompts, files that anybody may read and change; what is filled into them is data and cannot break out."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sparse_coding.errors import BadInput

Message = dict[str, str]

_TURN = re.compile(r"^# (system|user|assistant|prompt)\n", re.MULTILINE)
_PLACE = re.compile(r"\{\{(\w+)\}\}")
_MARKS = re.compile(r"<[<|]|[|>]>")  # ours, and what tokenizers take for special tokens


@dataclass(frozen=True)
class Prompt:
    """A conversation with places to fill; `digest` is that of the file."""

    name: str
    turns: tuple[tuple[str, str], ...]
    digest: str

    def filled(self, **values: str) -> list[Message]:
        """The messages, with `values` in their places."""
        return [{"role": role, "content": _fill(text, values)} for role, text in self.turns]


def load(folder: Path, name: str, places: frozenset[str]) -> Prompt:
    """Read `<folder>/<name>.md`: turns under the headings `# system`, `# user`, `# assistant`, or one `# prompt`.

    Raises BadInput, naming the file, where it is missing, has no such headings or other places than `places`.
    """
    path = folder / f"{name}.md"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(path, "no such file", "a prompt") from None
    parts = _TURN.split(text)
    turns = tuple((role, words.strip("\n")) for role, words in zip(parts[1::2], parts[2::2], strict=True))
    if parts[0].strip() or not turns or turns[-1][0] not in ("user", "prompt"):
        raise BadInput(path, "no turns", "headings `# system`, `# user`, `# assistant`; `# user` or `# prompt` last")
    found = {place for _, words in turns for place in _PLACE.findall(words)}
    if found != places:
        raise BadInput(path, f"places {sorted(found)}", f"{{{{...}}}} for {sorted(places)}")
    return Prompt(name, turns, hashlib.sha256(text.encode()).hexdigest()[:12])


def quoted(text: str) -> str:
    """`text` as a JSON string that is printable, on one line, and holds no mark and no special token."""
    letters = json.dumps(text, ensure_ascii=False)
    printable = "".join(letter if letter.isprintable() else _escaped(letter) for letter in letters)
    return _MARKS.sub(lambda found: "".join(map(_escaped, found[0])), printable)


def numbered(texts: list[str]) -> str:
    """A list of quoted texts, from 0."""
    return "\n".join(f"{number}: {quoted(text)}" for number, text in enumerate(texts))


def _escaped(letter: str) -> str:
    return json.dumps(letter)[1:-1] if ord(letter) > 127 else f"\\u{ord(letter):04x}"


def _fill(text: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda found: values[found[1]], text)

"""What `--help` says of a command: its docstring, what it says of each argument beside that argument."""

import re
from dataclasses import dataclass, field

PAGES = re.compile(r"\s*\bPages?: docs/\S+(?:, docs/\S+)*$")


@dataclass(frozen=True)
class Help:
    """description: what it does. of: by argument, what it is. pages: where more stands."""

    description: str
    pages: str = ""
    of: dict[str, str] = field(default_factory=dict)


def of_command(docstring: str, arguments: list[str]) -> Help:
    """An argument is told as `--name: ...` or, at the beginning of a line, `name: ...`, up to the next one."""
    found = PAGES.search(docstring)
    text, pages = (docstring[: found.start()], found.group().strip()) if found else (docstring, "")
    names = "|".join(re.escape(name.replace("_", "-")) for name in arguments)
    parts = re.split(rf"(?:^|(?<=\s))--({names}): |^({names}): ", text, flags=re.MULTILINE) if names else [text]
    told = {(option or plain).replace("-", "_"): _line(said)
            for option, plain, said in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)}  # fmt: skip
    return Help(_line(parts[0]), pages, told)


def with_default(said: str, default: object) -> str:
    """What an option is without being given, where that is a value; as argparse wants it, to which % is a sign."""
    is_told = default is None or isinstance(default, bool) or default == ""
    return (said if is_told else f"{said} (default: {default})").replace("%", "%%")


def _line(text: str) -> str:
    return " ".join(text.split())

"""What `sparse_coding --help` lists: each command with a sentence, those for people first, stages apart."""

import ast
from pathlib import Path

CLI = Path(__file__).parent
STAGES = CLI.parent / "stages"
WIDTH = 20


def listed(commands: dict[str, str], stages: tuple[str, ...]) -> str:
    """Two lists, as text. commands: name and function in commands.py. Nothing is imported for it."""
    own = _functions(CLI / "commands.py")
    text = ["", "Commands:", *(_line(name, own[function]) for name, function in commands.items())]
    text += ["", "Stages, which the workflow calls; by hand: sparse_coding <stage> --settings JSON ...", ""]
    text += [_line(name, _module(STAGES / f"{name}.py")) for name in stages]
    return "\n".join([*text, "", "Arguments of each: sparse_coding <name> --help. Settings: docs/params.md.", ""])


def _functions(file: Path) -> dict[str, str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}


def _module(file: Path) -> str:
    """What a stage does, without the words that each of them begins with."""
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return said.partition(": ")[2] or said


def _line(name: str, docstring: str) -> str:
    """The name, and the first sentence of its docstring."""
    return f"  {name:{WIDTH}}{sentence(docstring)}."


def sentence(docstring: str) -> str:
    """The first one, without its full stop."""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    first = paragraph.partition(". ")[0].removesuffix(".")
    return f"{first[:1].upper()}{first[1:]}"

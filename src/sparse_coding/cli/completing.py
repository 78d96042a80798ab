"""What a shell offers after TAB: commands, options, SITE/NAME of results, and values of which there are a few.

A person waits for it, so nothing heavy is imported: signatures are read from the source, as the list of commands is.
argcomplete (https://kislyuk.github.io/argcomplete) speaks with bash, zsh and fish.
"""

import argparse
import ast
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import argcomplete
from argcomplete.completers import FilesCompleter

from sparse_coding.cli import listing, naming
from sparse_coding.cli.helping import of_command
from sparse_coding.cli.main import COMMANDS, GIVEN_BY_WORKFLOW, STAGES

Offer = Callable[..., list[str]]  # given what is typed so far, as `prefix=`

# Of options that take one of a few values; a test holds them to what the code takes, which needs torch.
VALUES: dict[tuple[str, str], tuple[str, ...]] = {
    ("convert", "to"): ("sparse_coding", "saelens", "dictionary_learning", "sparsify"),
    ("convert", "dtype"): ("float32", "bfloat16", "float16"),
    ("convert", "of"): ("residual", "mlp", "attention", "transcoder", "embedding"),
    ("inspect", "of"): ("residual", "mlp", "attention", "transcoder", "embedding"),
    ("publish", "variant"): ("gain_refit", "threshold_refit"),
    ("import", "dtype"): ("float16", "bfloat16", "float32"),
}
NAMED = ("dictionary", "first", "second", "names")  # arguments that take SITE/NAME
ALSO_PATHS = ("first", "second")
TARGET = "target"


def answer() -> None:
    """Tell the shell that asks by its environment what could stand where the cursor is, and end the process."""
    argcomplete.autocomplete(parser(os.environ.get("COMP_LINE", "").split()), always_complete_options=False)


def parser(typed: list[str]) -> argparse.ArgumentParser:
    """All commands with their arguments, and of the stages those of the one that is typed."""
    top = argparse.ArgumentParser(prog="sparse_coding")
    top.add_argument("--version", action="store_true", help="show the version and exit")
    below = top.add_subparsers()
    own = {one.name: one for one in _functions(listing.CLI / "commands.py")}
    for name, function in COMMANDS.items():
        said = listing.sentence(ast.get_docstring(own[function]) or "")
        _add_arguments(below.add_parser(name, help=said), name, own[function], is_command=True)
    for name in STAGES:
        stage = below.add_parser(name)
        if name in typed:
            (run,) = (one for one in _functions(listing.STAGES / f"{name}.py") if one.name == "run")
            _add_arguments(stage, name, run, is_command=False)
    return top


def _functions(file: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)]


def _add_arguments(to: argparse.ArgumentParser, command: str, function: ast.FunctionDef, is_command: bool) -> None:
    """As main.py makes them of the function itself."""
    names = [argument.arg for argument, _ in _arguments(function)]
    told = of_command(ast.get_docstring(function) or "", names).of if is_command else {}
    for argument, default in _arguments(function):
        name, kind = argument.arg, ast.unparse(argument.annotation) if argument.annotation else ""
        option = f"--{name.replace('_', '-')}"
        if name in GIVEN_BY_WORKFLOW:
            continue
        if kind == "bool":
            to.add_argument(option, dest=name, action="store_true", help=told.get(name))
            continue
        if is_command and default is None:
            added = to.add_argument(name, nargs="+" if kind.startswith("list") else None, help=told.get(name))
        else:
            several = "*" if kind.startswith("list") else None
            added = to.add_argument(option, dest=name, nargs=several, help=told.get(name))
        added.completer = _offer(command, name, kind)  # type: ignore[attr-defined]


def _arguments(function: ast.FunctionDef) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Each with its default."""
    given = function.args
    without: list[ast.expr | None] = [None] * (len(given.args) - len(given.defaults))
    yield from zip(given.args, without + list(given.defaults), strict=True)
    yield from zip(given.kwonlyargs, given.kw_defaults, strict=True)


def _offer(command: str, name: str, kind: str) -> Offer:
    if (command, name) in VALUES:
        return lambda **_: list(VALUES[command, name])
    if name in NAMED:
        return lambda prefix, **_: naming.beginning(prefix) + (FilesCompleter()(prefix) if name in ALSO_PATHS else [])
    if name == TARGET:
        return lambda prefix, **_: ["all", *STAGES, *FilesCompleter()(prefix)]
    if "Path" in kind or name in ("file", "settings"):
        return FilesCompleter()
    return lambda **_: []  # a number, or a text

"""The command line: `sparse_coding <command> ...`, and any stage by hand: `sparse_coding <stage> --settings JSON ...`.

The arguments are those of the command's function, or of the stage's `run`. Commands and stages are imported when
called: asking what there is, or a shell that does (completing.py), waits for neither torch nor pydantic.
"""

import argparse
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sparse_coding.cli.helping import Help, of_command, with_default
from sparse_coding.cli.listing import listed
from sparse_coding.ending_quietly import ending_quietly
from sparse_coding.errors import BadInput, exit_code
from sparse_coding.workflow.asked import nearest

if TYPE_CHECKING:
    from sparse_coding.settings.params import Section

STAGES = (
    "dataset",
    "activations",
    "import_activations",
    "dictionaries",
    "baselines",
    "published",
    "evaluation",
    "evaluation_tables",
    "summary",
    "autointerp",
    "autointerp_llm",
    "autointerp_tables",
    "plots",
    "transformer",
    "toy",
    "toy_tables",
    "toy_figure",
)

# What one types: the function in cli/commands.py.
COMMANDS = {name: name for name in ("why", "inspect", "plan", "forecast", "lock", "migrate", "clean")}
COMMANDS |= {name: name for name in ("convert", "features", "compare", "publish")}
COMMANDS["import"] = "import_"
ALL = (*COMMANDS, *STAGES)
ABOUT = (
    "Ask about the workflow, which `make plot` or Snakemake runs; look at dictionaries, compare and convert them; "
    "import vectors; call a stage by hand."
)
COUNTS = ("cores", "threads")  # arguments of which there must be one at least
GIVEN_BY_WORKFLOW = ("done", "environments")


def main(arguments: list[str] | None = None) -> int:
    """Run one command or stage; 0 when it is done, 2 when something cannot be used, with one line that says why."""
    return ending_quietly(lambda: _run(arguments))


def _run(arguments: list[str] | None) -> int:
    parser = _Parser(prog="sparse_coding", description=ABOUT)
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    parser.add_argument("command", metavar="command", help="one of those below")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="its arguments")
    chosen = parser.parse_args(arguments)
    if chosen.command not in ALL:
        near = nearest(chosen.command, ALL)
        maybe = f"did you mean {near}? " if near else ""
        parser.error(f"invalid choice: {chosen.command!r} ({maybe}choose from {', '.join(ALL)})")
    run = _function(chosen.command)
    try:
        said = run(**_parse(chosen.command, run, chosen.rest))
    except (BadInput, OSError, ArithmeticError) as error:
        if isinstance(error, BrokenPipeError) and chosen.command in COMMANDS:  # in a stage it would be a connection
            raise
        print(f"error: {chosen.command}: {error}", file=sys.stderr)
        return exit_code(error)
    if said:
        print(said)
    return 0


class _Version(argparse.Action):
    """It is looked up when it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        print(parser.prog, metadata.version("sparse_coding"))
        parser.exit()


class _Parser(argparse.ArgumentParser):
    def format_help(self) -> str:
        """The usual help, then what there is, with a sentence each."""
        return super().format_help() + listed(COMMANDS, STAGES)


def _function(command: str) -> Callable[..., str | None]:
    if command in COMMANDS:
        return getattr(importlib.import_module("sparse_coding.cli.commands"), COMMANDS[command])
    return importlib.import_module(f"sparse_coding.stages.{command}").run


def _parse(command: str, run: Callable[..., str | None], rest: list[str]) -> dict[str, object]:
    said = Help(inspect.getdoc(run) or "")
    if command in COMMANDS:
        said = of_command(said.description, list(inspect.signature(run).parameters))
    parser = argparse.ArgumentParser(prog=f"sparse_coding {command}", description=said.description, epilog=said.pages)
    hints = typing.get_type_hints(run)
    for name, parameter in inspect.signature(run).parameters.items():
        if name in GIVEN_BY_WORKFLOW:
            continue
        kind, several = _kind(hints[name])
        optional = parameter.default is not inspect.Parameter.empty
        if command in COMMANDS and not optional:
            parser.add_argument(
                name, type=kind, nargs="+" if several else None, help=with_default(said.of.get(name, ""), None)
            )
            continue
        told = with_default(said.of.get(name, ""), parameter.default if optional else None)
        if kind is bool:
            parser.add_argument(f"--{name.replace('_', '-')}", dest=name, action="store_true", help=told)
            continue
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=_settings(kind) if name == "settings" else _count(name) if name in COUNTS else kind,
            nargs="*" if several else None,
            required=not optional,
            default=parameter.default if optional else None,
            help=told,
        )
    return vars(parser.parse_args(rest))


def _kind(hint: object) -> tuple[type, bool]:
    """The type of one value, and whether the argument takes several."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0], True
    return typing.cast(type, hint), False


def _count(name: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if int(text) < 1:
            raise BadInput(f"--{name}", text, "at least 1")
        return int(text)

    parse.__name__ = "int"  # argparse names it where `text` is no number
    return parse


def _settings(kind: "type[Section]") -> Callable[[str], object]:
    from pydantic import ValidationError

    from sparse_coding.settings.params_file import first_problem

    def parse(text: str) -> object:
        source = Path(text).read_text(encoding="utf-8") if text.endswith(".json") else text
        try:
            return kind.model_validate_json(source)
        except ValidationError as error:
            raise first_problem("--settings", error, kind) from None

    return parse

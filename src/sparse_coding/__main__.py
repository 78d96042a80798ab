"""The command line: `python -m sparse_coding <stage> --settings JSON --name value ...`.

Each stage's arguments are those of its `run`, so that the failing line of a workflow can be pasted into a
terminal. Stages are imported when called: asking for help loads no torch.
"""

import argparse
import importlib
import inspect
import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from sparse_coding.errors import BadInput
from sparse_coding.params import Section, first_problem

STAGES = (
    "dataset",
    "activations",
    "import_activations",
    "dictionaries",
    "baselines",
    "evaluation",
    "summary",
    "autointerp",
    "plots",
    "transformer",
)


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; 0 when it is done, 2 when its input cannot be used, with one line that says why."""
    parser = argparse.ArgumentParser(prog="python -m sparse_coding", description=__doc__.split("\n")[0])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="--name value", help="see `<stage> --help`")
    chosen = parser.parse_args(arguments)
    run = importlib.import_module(f"sparse_coding.stages.{chosen.stage}").run
    try:
        run(**_parse(chosen.stage, run, chosen.rest))
    except (BadInput, OSError, ArithmeticError) as error:
        print(f"error: {chosen.stage}: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(stage: str, run: Callable[..., None], rest: list[str]) -> dict[str, object]:
    parser = argparse.ArgumentParser(prog=f"python -m sparse_coding {stage}", description=inspect.getdoc(run))
    hints = typing.get_type_hints(run)
    for name, parameter in inspect.signature(run).parameters.items():
        kind, several = _kind(hints[name])
        optional = parameter.default is not inspect.Parameter.empty
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            dest=name,
            type=_settings(kind) if name == "settings" else kind,
            nargs="*" if several else None,
            required=not optional,
            default=parameter.default if optional else None,
        )
    return vars(parser.parse_args(rest))


def _kind(hint: object) -> tuple[type, bool]:
    """The type of one value, and whether the argument takes several."""
    if isinstance(hint, types.UnionType):
        hint = next(part for part in typing.get_args(hint) if part is not type(None))
    if typing.get_origin(hint) is list:
        return typing.get_args(hint)[0], True
    return typing.cast(type, hint), False


def _settings(kind: type[Section]) -> Callable[[str], object]:
    def parse(text: str) -> object:
        source = Path(text).read_text(encoding="utf-8") if text.endswith(".json") else text
        try:
            return kind.model_validate_json(source)
        except ValidationError as error:
            raise first_problem("--settings", error, kind) from None

    return parse


if __name__ == "__main__":
    sys.exit(main())

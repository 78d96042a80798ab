"""What a shell offers after TAB: asked in a real bash; and that it is what the commands take."""

import argparse
import inspect
import os
import subprocess
import sys
import time
from pathlib import Path

import pexpect
import pytest

from sparse_coding.cli import commands, completing
from sparse_coding.cli import main as command_line
from sparse_coding.formats import converting, gemma_scope, writing
from sparse_coding.settings.params import Activations

BIN = Path(sys.prefix) / "bin"
PROGRAM = BIN / "sparse_coding"
REGISTER = f'eval "$({BIN}/register-python-argcomplete sparse_coding)"'
# As bash calls it at TAB: the line as words, and which of them the cursor is in.
ASK = """
COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_WORDS=($1)
[[ $1 == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_python_argcomplete "${COMP_WORDS[0]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""
SITE, NAMES = "layer2_residual", ("tied_r4_l1-0.002_s0", "topk_r4_k8_s0")
SLOWEST = 0.3  # seconds
HEAVY = ("torch", "numpy", "pydantic", "yaml", "transformers", "snakemake")


@pytest.fixture
def project(tmp_path):
    """Results with two dictionaries, a baseline, and one at another site."""
    for folder, site, name in (
        *(("dictionaries", SITE, name) for name in NAMES),
        ("baselines", SITE, "pca_top8"),
        ("dictionaries", "layer4_residual", NAMES[0]),
    ):
        file = tmp_path / "results" / folder / site / f"{name}.safetensors"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "other_sae").mkdir()
    return tmp_path


def offered(folder, line):
    """What bash would show behind `sparse_coding line`."""
    command = ["bash", "--norc", "-c", f"{REGISTER}\n{ASK}", "bash", f"{PROGRAM} {line}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    return [word.strip() for word in done.stdout.splitlines() if word]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("", [*command_line.COMMANDS, *command_line.STAGES]),
        ("comp", ["compare"]),
        ("features ", [f"{SITE}/", "layer4_residual/"]),
        (f"features {SITE}/", [f"{SITE}/{name}" for name in (*NAMES, "pca_top8")]),
        (f"features {SITE}/to", [f"{SITE}/topk_r4_k8_s0"]),
        (f"features {SITE}/{NAMES[0]} --", ["--help", "--feature", "--text", "--n"]),
        (f"compare {SITE}/{NAMES[0]} o", ["other_sae/"]),
        (f"compare {SITE}/{NAMES[0]} layer4", ["layer4_residual/"]),
        ("convert o", ["other_sae/"]),
        ("convert other_sae out --to ", list(converting.TARGETS)),
        ("convert other_sae out --to d", ["dictionary_learning"]),
        ("convert other_sae out --dtype b", ["bfloat16"]),
        ("why au", ["autointerp", "autointerp_llm", "autointerp_tables"]),
        ("summary --", ["--help", "--settings", "--tables", "--output"]),
        ("features x --n ", []),
    ],
)
def test_bash_offers(project, line, wanted):
    assert sorted(offered(project, line)) == sorted(wanted)


def test_tab_in_a_terminal_writes_the_rest(project):
    """The program by its path, as pages have it; and a name of results, word by word."""
    env = os.environ | {"PS1": "$ ", "TERM": "dumb", "INPUTRC": "/dev/null"}
    terminal = pexpect.spawn(
        "bash", ["--norc", "--noprofile", "-i"], cwd=str(project), env=env, timeout=30, dimensions=(24, 300)
    )
    try:
        terminal.sendline(f"{REGISTER}; echo rea''dy")
        terminal.expect("ready")
        terminal.send(f"{PROGRAM} feat\tlayer2\tto\t--hel\t")
        terminal.expect_exact(f"features {SITE}/topk_r4_k8_s0 --help ")
    finally:
        terminal.close(force=True)


def test_the_answer_comes_at_once_and_loads_nothing_heavy(project):
    env = os.environ | {"_ARGCOMPLETE": "1", "COMP_LINE": f"sparse_coding features {SITE}/", "_ARGCOMPLETE_IFS": "\n"}
    env |= {"COMP_POINT": str(len(env["COMP_LINE"])), "_ARGCOMPLETE_STDOUT_FILENAME": str(project / "said")}
    taken = []
    for _ in range(5):
        before = time.monotonic()
        subprocess.run([PROGRAM], cwd=project, env=env, check=True, timeout=60)
        taken.append(time.monotonic() - before)
    assert (project / "said").read_text().split() == [f"{SITE}/{name}" for name in (*NAMES, "pca_top8")]
    assert min(taken) < SLOWEST
    script = "import sys; from sparse_coding.cli import completing; completing.parser(['plots'])"
    script += f"; print(*set({HEAVY!r}) & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


class _Seen(Exception):
    """The parser that the command line would use."""


@pytest.mark.parametrize("command", command_line.ALL)
def test_what_is_offered_is_what_is_taken(command, monkeypatch):
    """Read from the source here, made of the function itself there: the same arguments, of the same kinds."""

    def see(self, *_):
        raise _Seen(self)

    run = command_line._function(command)
    with monkeypatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", see)
        with pytest.raises(_Seen) as seen:
            command_line._parse(command, run, [])
    (below,) = (each for each in completing.parser([command])._actions if isinstance(each.choices, dict))
    for kind in (_arguments, _lists, _flags):
        assert kind(below.choices[command]) == kind(seen.value.args[0])


def _arguments(parser):
    return [(action.dest, action.option_strings) for action in parser._actions]


def _lists(parser):
    return {action.dest for action in parser._actions if action.nargs == "*"}


def _flags(parser):
    return {action.dest for action in parser._actions if isinstance(action, argparse._StoreTrueAction)}


def test_values_are_those_that_the_code_takes():
    values = completing.VALUES
    assert values["convert", "to"] == converting.TARGETS
    assert values["convert", "dtype"] == tuple(writing.DTYPES)
    assert values["convert", "of"] == gemma_scope.OF
    for dtype in values["import", "dtype"]:
        assert Activations.model_validate({"dtype": dtype}).dtype == dtype
    for command, name in values:
        function = getattr(commands, command_line.COMMANDS[command])
        assert name in inspect.signature(function).parameters

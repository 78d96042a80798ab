"""The command line of the commands and stages: what it takes, and how it says no."""

import inspect
import json
import os
import re
import subprocess
import sys
import tomllib

import pyarrow.parquet as pq
import pytest

from sparse_coding.cli import commands, helping
from sparse_coding.cli.main import COMMANDS, STAGES, main
from sparse_coding.io import tables
from sparse_coding.io.tables.evaluation import EVALUATION
from tests.workspace import ROOT


def refused(capsys, *arguments: str) -> str:
    """Call with bad arguments; 2, nothing on stdout, and what stands on stderr."""
    try:
        code = main(list(arguments))
    except SystemExit as leaving:  # argparse
        code = leaving.code  # type: ignore[assignment]
    assert code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return printed.err.splitlines()[-1]


@pytest.fixture
def table(tmp_path):
    """An evaluation table with one row."""
    path = tmp_path / "table.parquet"
    values = {"string": "x", "int64": 1, "double": 0.5}
    row = {field.name: values[str(field.type)] for field in EVALUATION} | {"kind": "tied"}
    tables.write(path, [row], EVALUATION)
    return path


def test_a_stage_runs_with_paths_lists_and_settings(table, tmp_path):
    assert main(["summary", "--settings", "{}", "--tables", str(table), str(table), "--output", str(tmp_path)]) == 0
    assert (tmp_path / "summary.csv").read_text().count("\n") == 3
    assert pq.read_table(table).num_rows == 1


def test_settings_may_stand_in_a_file(table, tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    arguments = ["--settings", str(tmp_path / "settings.json"), "--tables", str(table)]
    assert main(["summary", *arguments, "--output", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "summary.csv").exists()


def test_an_unknown_command_is_refused_with_those_there_are(capsys):
    line = refused(capsys, "train")
    assert "invalid choice: 'train'" in line
    assert all(name in line for name in (*COMMANDS, *STAGES))


@pytest.mark.parametrize(("typed", "meant"), [("wy", "why"), ("inspct", "inspect"), ("dictionarys", "dictionaries")])
def test_a_typing_mistake_gets_the_nearest(capsys, typed, meant):
    assert f"invalid choice: {typed!r} (did you mean {meant}? choose from" in refused(capsys, typed, "all")


def test_help_lists_every_command_with_a_sentence_and_stages_apart(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--help"])
    assert leaving.value.code == 0
    commands, _, stages = capsys.readouterr().out.partition("\nCommands:\n")[2].partition("\nStages")
    for part, names in ((commands, COMMANDS), (stages, STAGES)):
        found = dict(re.findall(r"^  (\w+) +([A-Z].+\.)$", part, re.MULTILINE))
        assert list(found) == list(names)
        assert all(len(sentence.split()) > 3 for sentence in found.values())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_of_each_argument_of_a_command_what_it_is(command, capsys):
    """And nothing of it stands in what the command does, or of one argument beside another."""
    with pytest.raises(SystemExit) as leaving:
        main([command, "--help"])
    assert leaving.value.code == 0
    said = capsys.readouterr().out
    names = list(inspect.signature(getattr(commands, COMMANDS[command])).parameters)
    told = helping.of_command(inspect.getdoc(getattr(commands, COMMANDS[command])), names)
    assert list(told.of) == names
    assert all(len(words.split()) >= 2 for words in told.of.values())
    flat = "".join(said.split())  # lines are broken between words and behind hyphens
    for words in filter(None, (told.description, told.pages, *told.of.values())):
        assert flat.count("".join(words.split())) == 1
        assert "--" not in words
    for name in re.findall(r"docs/\S+\.md", told.pages):
        assert (ROOT / name).is_file()


def test_help_has_defaults_where_they_say_something():
    assert helping.with_default("how many", 10) == "how many (default: 10)"
    assert helping.with_default("80 % of it", None) == "80 %% of it"
    assert helping.with_default("for a program", False) == "for a program"


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as leaving:
        main(["--version"])
    assert leaving.value.code == 0
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert capsys.readouterr().out == f"sparse_coding {version}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forecast", "--cores", "0"], "error: forecast: --cores: found 0; wanted at least 1"),
        (["forecast", "--cores", "-2"], "error: forecast: --cores: found -2; wanted at least 1"),
        (["forecast", "--l0", "-1"], "error: forecast: --l0: found -1; wanted more than 0"),
        (["forecast", "--l0", "nan"], "error: forecast: --l0: found nan; wanted more than 0"),
        (["dictionaries", "--threads", "0"], "error: dictionaries: --threads: found 0; wanted at least 1"),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(capsys, arguments, message):
    assert refused(capsys, *arguments) == message


@pytest.mark.parametrize(
    "arguments", [["sparse_coding", "--help"], ["sparse_coding", "clean"], ["sparse_coding.settings.reference"]]
)
def test_a_reader_who_leaves_is_no_error(arguments, tmp_path):
    """As `| head` does; the pipe is closed before anything is written."""
    command = [sys.executable, "-m", *arguments]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(command, cwd=tmp_path, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert done.stderr == ""
    assert done.returncode == (0 if "--help" in arguments else 141)  # argparse forgives by itself


def test_no_command_at_all_is_refused(capsys):
    assert "required: command" in refused(capsys)


def test_a_missing_argument_is_named(capsys, table):
    line = refused(capsys, "summary", "--settings", "{}", "--tables", str(table))
    assert line == "sparse_coding summary: error: the following arguments are required: --output"


def test_an_unknown_argument_is_named(capsys, table):
    line = refused(capsys, "summary", "--settings", "{}", "--tables", str(table), "--output", "x", "--colour", "red")
    assert line.endswith("error: unrecognized arguments: --colour red")


ARGUMENTS = ("--activations", "a.h5", "--output", "out", "--threads", "1")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("{not json", "error: dictionaries: --settings: found '{not json'; wanted Invalid JSON: "),
        ('{"site": "x"}', "error: dictionaries: --settings: architecture: found {'site': 'x'}; wanted Field required"),
        ("[]", "error: dictionaries: --settings: found []; wanted a section of site, architecture, "),
        ("missing.json", "error: dictionaries: [Errno 2] No such file or directory: 'missing.json'"),
    ],
)
def test_bad_settings_are_refused_in_one_line(capsys, settings, message):
    assert refused(capsys, "dictionaries", "--settings", settings, *ARGUMENTS).startswith(message)


def test_an_unknown_setting_is_named_with_those_there_are(capsys):
    settings = {"site": "layer0_residual", "architecture": "tied", "ratio": 1, "members": {}, "colour": "red"}
    settings |= {"own": {"lr": 0.01}, "training": {}, "penalty_warmup": 0.1}
    line = refused(capsys, "dictionaries", "--settings", json.dumps(settings), *ARGUMENTS)
    wanted = "one of site, architecture, ratio, members, training, own, penalty_warmup, control"
    assert line == f"error: dictionaries: --settings: colour: found an unknown key (value 'red'); wanted {wanted}"


def test_a_number_that_is_none_is_refused(capsys):
    line = refused(capsys, "dictionaries", "--settings", "{}", *ARGUMENTS[:-1], "many")
    assert "--settings: site" in line or "--threads: invalid int value: 'many'" in line


def test_input_that_a_stage_refuses_ends_with_two_and_one_line(capsys, tmp_path):
    line = refused(capsys, "summary", "--settings", "{}", "--tables", "gone.parquet", "--output", str(tmp_path / "x"))
    assert line == "error: summary: gone.parquet: found no such file; wanted a table that sparse_coding wrote"


def test_a_file_that_cannot_be_written_is_an_error_too(capsys, table, tmp_path):
    (tmp_path / "file").write_text("")
    line = refused(capsys, "summary", "--settings", "{}", "--tables", str(table), "--output", str(tmp_path / "file/x"))
    assert line.startswith("error: summary: ")
    assert str(tmp_path / "file") in line


@pytest.mark.parametrize("stage", ["dictionaries", "plots", "summary"])
def test_each_stage_explains_its_own_arguments(capsys, stage):
    with pytest.raises(SystemExit) as leaving:
        main([stage, "--help"])
    assert leaving.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: sparse_coding {stage} ")
    assert "--settings" in shown
    assert "--output" in shown
    assert "--done" not in shown  # what only the workflow gives
    assert "--environments" not in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_its_own_arguments(capsys, command):
    with pytest.raises(SystemExit) as leaving:
        main([command, "--help"])
    assert leaving.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: sparse_coding {command} ")


def test_a_command_prints_what_it_has_to_say(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["clean"]) == 0
    assert capsys.readouterr().out == "The store is empty.\n"
    assert "required: target" in refused(capsys, "why")

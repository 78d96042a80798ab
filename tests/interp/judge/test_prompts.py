"""Prompts are files, and nothing that is put into them gets out of its place."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.errors import BadInput
from sparse_coding.interp.judge import prompts
from sparse_coding.interp.judge.classifying import Classification
from sparse_coding.interp.judge.explaining import PLACES
from sparse_coding.interp.judge.intruding import Intrusion
from sparse_coding.interp.judge.simulating import Chat, Echo, PerToken
from tests.workspace import ROOT

FOLDER = ROOT / "prompts"
OURS = {
    "explain": PLACES,
    "simulate": Chat.places,
    "per_token": PerToken.places,
    "echo": Echo.places,
    "detect": Classification.places,
    "fuzz": Classification.places,
    "intruder": Intrusion.places,
}
ANYTHING = st.text(st.characters(codec=None))


@pytest.mark.parametrize("name", OURS)
def test_ours_can_be_read_and_are_all(name):
    prompt = prompts.load(FOLDER, name, OURS[name])
    assert {path.stem for path in FOLDER.iterdir()} == OURS.keys()
    messages = prompt.filled(**dict.fromkeys(OURS[name], "x"))
    roles = [message["role"] for message in messages]
    assert roles == ["prompt"] or roles[0] == "system"
    assert roles[1:] == ["user", "assistant"] * (len(roles) // 2 - 1) + ["user"] or roles == ["prompt"]
    assert not any("{{" in message["content"] for message in messages)


@given(ANYTHING)
def test_a_quoted_text_is_the_text_on_one_printable_line(text):
    quoted = prompts.quoted(text)
    assert json.loads(quoted) == text
    assert quoted.isprintable()
    quoted.encode()
    assert not any(mark in quoted for mark in ("<<", ">>", "<|", "|>"))


@given(ANYTHING, ANYTHING)
def test_values_stay_in_their_places(feature, token):
    prompt = prompts.load(FOLDER, "simulate", Chat.places)
    last = prompt.filled(feature=prompts.quoted(feature), tokens=prompts.numbered([token, token]))[-1]["content"]
    lines = last.split("\n")
    assert len(lines) == 4
    assert json.loads(lines[0].removeprefix("Feature: ")) == feature
    assert [json.loads(line.split(": ", 1)[1]) for line in lines[2:]] == [token, token]


def test_a_place_in_a_value_is_not_filled():
    prompt = prompts.load(FOLDER, "simulate", Chat.places)
    last = prompt.filled(feature='"{{tokens}}"', tokens="0")[-1]["content"]
    assert '"{{tokens}}"' in last


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such file; wanted a prompt"),
        ("hello {{records}}", "found no turns"),
        ("# user\nhello", r"found places \[\]; wanted .*records"),
        ("# user\n{{records}} {{name}}", r"places \['name', 'records'\]"),
        ("# user\n{{records}}\n# assistant\nyes", "found no turns"),
    ],
)
def test_a_prompt_that_cannot_be_used(tmp_path, text, message):
    if text is not None:
        (tmp_path / "explain.md").write_text(text)
    with pytest.raises(BadInput, match=message):
        prompts.load(tmp_path, "explain", PLACES)


def test_another_word_is_another_prompt(tmp_path):
    text = (FOLDER / "explain.md").read_text()
    (tmp_path / "explain.md").write_text(text.replace("short", "brief"))
    changed = prompts.load(tmp_path, "explain", PLACES)
    assert changed.digest != prompts.load(FOLDER, "explain", PLACES).digest

"""Answers that earlier versions kept are found, and what is asked has not changed. The folder was written by one."""

import shutil
from pathlib import Path

import pytest

from sparse_coding.interp.judge.questions import Style, whole_numbers
from sparse_coding.llm.request import Request
from tests.llm.asking import Desk
from tests.model_server import ModelServer

OLDER = Path(__file__).parent / "older" / "cache"
URL, HOST = "http://judge.test:8080/v1", "judge.test:8080"
RECORDS = '<start>\n" a"\t0\n" cat"\t10\n<end>\n'
LIST = 'Feature: "words \\"cat\\""\nTokens:\n0: " cat"\n1: " dog"\n'
ECHO = 'Feature: "words \\"cat\\""\n<start>\n" cat"\tunknown\n" dog"\tunknown\n'


def asked(**style) -> list[Request]:
    style_ = Style(0.0, 6, 0, True, **style)
    return [
        style_.chat("explains", [{"role": "user", "content": RECORDS}], 60),
        style_.chat("judges", [{"role": "user", "content": LIST}], 48, whole_numbers(2, 9), logprobs=True).again(1),
        style_.echo("judges", ECHO),
    ]


def desk(folder, url: str, **reach) -> Desk:
    shutil.copytree(OLDER, folder / "cache", dirs_exist_ok=True)
    return Desk(folder, url, **reach)


@pytest.mark.parametrize("style", [{}, {"extra": {}}])
def test_older_answers_are_found_under_their_address(tmp_path, style):
    files = sorted(path.name for path in OLDER.rglob("*.gz"))
    assert sorted(f"{request.key(URL)}.json.gz" for request in asked(**style)) == files
    now = desk(tmp_path, URL, server=HOST, by_address=True, retries=0)  # nobody is there
    answers = now.ask(*asked(**style))
    assert [answer["model"] for answer in answers] == ["explains", "judges", "judges"]
    assert len(now.files()) == 3  # read only
    assert now.ledger.spent().requests == 0


def test_a_server_with_a_name_of_its_own_has_answered_nothing_yet(tmp_path):
    with ModelServer() as server:
        now = desk(tmp_path, server.url, server="mine")
        now.ask(*asked())
        assert len(server.asked) == 3
        elsewhere = Desk(tmp_path, "http://another.invalid/v1", server="mine", retries=0)
        assert all(isinstance(answer, dict) for answer in elsewhere.ask(*asked()))  # another address, the same server
        assert len(now.files()) == 6
        now.ask(*asked(extra={"think": False}))
        assert len(server.asked) == 6

"""Answers on disk."""

import multiprocessing
import os
import shutil
import signal
import time

import pytest

from sparse_coding.llm.cache import Cache
from tests.llm.asking import KEY, Desk, chat, eventually, full
from tests.model_server import Fault, ModelServer
from tests.workspace import content

NAME = "ab" + "0" * 62


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b'{"answer": 1}', b"[]", b"null", b'{"request": {}}', b"\xff\xfe\x00", b'{"answer": {"a": "\xff"}}',
     b'{"answer": {"choices": [{"mess'],
)  # fmt: skip
def test_a_damaged_answer_is_asked_for_again(tmp_path, capsys, damage):
    with ModelServer() as server:
        desk = Desk(tmp_path, server.url)
        (first,) = desk.ask(chat())
        (file,) = desk.files()
        whole = file.read_bytes()
        file.write_bytes(damage)
        assert desk.ask(chat()) == [first]
        assert len(server.asked) == 2
    assert f"{file}: a damaged answer; it is asked for again" in capsys.readouterr().err
    assert file.read_bytes() == whole


def test_what_is_kept(tmp_path):
    cache = Cache(tmp_path / "not" / "there")
    assert cache.get(NAME) is None
    kept = {"request": {"a": "\ud800é\x00"}, "dropped": [], "answer": {"x": [1, None]}}
    cache.put(NAME, kept)
    assert cache.get(NAME) == kept
    assert [path.name for path in (tmp_path / "not/there/ab").iterdir()] == [f"{NAME}.json.gz"]


def test_of_two_answers_to_the_same_question_the_first_is_kept_and_used(tmp_path):
    cache = Cache(tmp_path)
    assert cache.first(NAME, {"answer": {"n": 1}}) == {"answer": {"n": 1}}
    assert cache.first(NAME, {"answer": {"n": 2}}) == cache.get(NAME) == {"answer": {"n": 1}}
    next(tmp_path.rglob("*.json.gz")).write_text("{")
    assert cache.first(NAME, {"answer": {"n": 3}}) == cache.get(NAME) == {"answer": {"n": 3}}


def test_two_processes_that_ask_the_same_use_the_same_answer(tmp_path):
    with ModelServer() as server:
        desk = Desk(tmp_path, server.url)
        other = {"request": {}, "dropped": [], "answer": {"choices": [], "from": "another process"}}

        def script(asked, number):  # it answers while our own call is under way
            desk.cache.put(chat().key(server.url), other)

        server.faults = script
        assert desk.ask(chat()) == [other["answer"]]
        assert desk.ledger.spent().tokens == 17  # ours was paid for


def _write_for_ever(folder):
    cache, number = Cache(folder), 0
    while True:
        cache.put(f"{number % 7:02}".ljust(64, "0"), {"answer": {"text": "x" * 200_000, "number": number}})
        number += 1


def test_kills_leave_whole_files(tmp_path, capsys):
    for _ in range(4):
        process = multiprocessing.get_context("fork").Process(target=_write_for_ever, args=(tmp_path,))
        process.start()
        eventually(lambda: len(list(tmp_path.rglob("*.json.gz"))) == 7)
        time.sleep(0.03)
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        for file in tmp_path.rglob("*.json.gz"):
            kept = Cache(tmp_path).get(file.name.split(".")[0])
            assert kept is not None
            assert len(kept["answer"]["text"]) == 200_000
    assert not capsys.readouterr().err


def test_folders_of_two_are_put_together_by_copying(tmp_path):
    with ModelServer() as server:
        one, other = Desk(tmp_path / "one", server.url), Desk(tmp_path / "other", server.url)
        answers = one.ask(chat(1), chat(2)) + other.ask(chat(2), chat(3))[1:]
        shutil.copytree(other.cache.folder, one.cache.folder, dirs_exist_ok=True)
        server.forget()
        assert one.ask(chat(1), chat(2), chat(3)) == answers
        assert not server.asked
    assert len(one.files()) == 3


def test_no_key_and_no_header_in_any_file(tmp_path):
    with ModelServer([Fault("key"), None], key=KEY, rejects={"seed"}) as server:
        desk = Desk(tmp_path, server.url, retries=0)
        desk.ask(chat(0))
        assert all(isinstance(answer, dict) for answer in desk.ask(*(full(number) for number in range(5))))
        assert {asked.key for asked in server.asked} == {KEY}
    found = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.suffix == ".gz" for path in found) == 5
    for path in found:
        text = content(path).lower()
        for secret in (KEY.encode(), b"authorization", b"bearer", b"stainless", b"127.0.0.1"):
            assert secret not in text

"""The project's client and stage against llama.cpp's own server."""

import json
import re
import signal
import subprocess
import threading
import time
from collections import Counter

import httpx
import pytest

from sparse_coding.errors import Unanswered
from sparse_coding.llm import answers
from sparse_coding.llm.faults import CallFailed
from sparse_coding.llm.ledger import Limits
from tests.interp import asked
from tests.llm.asking import Desk, chat, eventually, said
from tests.servers.conftest import HERE, MODEL
from tests.servers.relay import Passed, Relay

pytestmark = pytest.mark.server

KEYS = [str(number) for number in range(12)]
DIGIT = {"type": "integer", "enum": list(range(10))}
SCHEMA = {"type": "object", "additionalProperties": False, "properties": dict.fromkeys(KEYS, DIGIT), "required": KEYS}
LONG = 6000  # tokens; the server looks once a second whether anybody waits for them yet
FORMAT = {"type": "json_schema", "json_schema": {"name": "v", "strict": True, "schema": SCHEMA}}


def values(number=0, **fields):
    wish = {"response_format": FORMAT, "logprobs": True, "top_logprobs": 20, "max_tokens": 300}
    return chat(number, **wish, **fields)


def long(number):
    """More than a second of writing."""
    return chat(number, max_tokens=LONG, ignore_eos=True)


def key(request):
    return json.dumps(request.body, sort_keys=True)


def told(relay):
    """How often each question was answered, and how often it was asked without an answer, as seen at the server."""
    answered = Counter(json.dumps(body, sort_keys=True) for body, status in relay.passed if status == 200)
    lost = Counter(json.dumps(body, sort_keys=True) for body, status in relay.passed if status is None)
    return answered, lost


def tokens(desk):
    """All that is booked."""
    spent = desk.ledger.spent()
    return spent.prompt + spent.completion


def test_the_model_file_is_what_its_script_writes(python, tmp_path):
    subprocess.run([python, HERE / "make_gguf.py", tmp_path / "again.gguf"], check=True)
    assert (tmp_path / "again.gguf").read_bytes() == MODEL.read_bytes()
    assert MODEL.stat().st_size < 2**20


def test_schema_is_held_to_probabilities_come_and_usage_is_what_is_booked(llama, tmp_path):
    with llama() as server:
        desk = Desk(tmp_path, server.url)
        (answer, words) = desk.ask(values(), chat(1))
        assert said(words) == "the words"
        digits = answers.digits_of(answer, 12)
        expected = answers.expected_values(answer, 12)
        assert expected is not None
        assert len(set(digits)) > 3  # the model looks at the keys
        assert abs(expected - digits).max() > 0.01  # and other digits are possible too
        used = sum(each["usage"]["total_tokens"] for each in (answer, words))
        spent = desk.ledger.spent()
        assert (spent.requests, spent.prompt + spent.completion, spent.unsettled) == (2, used, 0)


def test_a_cap_is_exact(llama, tmp_path):
    """Used up to the token by an answer of this length; the next one is not sent."""
    with llama() as server:
        first = Desk(tmp_path / "first", server.url)
        first.ask(chat(0))
        used = tokens(first)
        most = chat(0).most_prompt_tokens + chat(0).most_completion_tokens
        for room, answered in ((used + most, 2), (used + most - 1, 1)):
            desk = Desk(tmp_path / str(room), server.url, Limits(tokens=room), in_flight=1)
            got = desk.ask(chat(0), chat(1))
            assert sum(isinstance(each, dict) for each in got) == answered
            assert desk.ledger.spent().requests == answered
            assert tokens(desk) == used * answered


def test_a_context_that_is_too_small_is_said_with_both_numbers(llama, planted_site, tmp_path):
    """The tokens that the longest question needs, and those that the server has for it."""
    with llama(context=1024, slots=2) as server, Relay(server.port) as relay:
        said = httpx.post(f"{server.url}/chat/completions", json=dict(chat(content="a" * 2000).body)).json()["error"]
        assert said["type"] == "exceed_context_size_error"
        assert (said["n_prompt_tokens"] > 2000, said["n_ctx"]) == (True, 512)
        with pytest.raises(Unanswered) as caught:
            asked.run(planted_site, tmp_path, asked.settings(relay.url, features=2))
        (question,) = relay.passed
    (needed, has) = re.findall(r"(\d+) tokens\)", str(caught.value))
    assert int(needed) > len(question.body["messages"][-1]["content"])  # a token of this model is a byte
    assert int(has) == 512
    assert question.status == 400
    assert not list((tmp_path / "output").glob("*"))


def test_a_run_ends_in_scores_under_any_name_and_a_second_asks_nothing(llama, planted_site, tmp_path, capfd):
    with llama() as server:
        settings = asked.settings(server.url, features=1)
        rows = asked.run(planted_site, tmp_path, settings)
    assert "explains" in "".join(capfd.readouterr())  # the server lists its file, and answers to any name
    assert {row["explanation"] for row in rows if row["status"] != "dead"} == {"the words"}
    assert {row["source"] for row in rows} == {"logprob_ev", "sampled"}
    assert all(row["status"] != "failed" for row in rows)
    assert asked.run(planted_site, tmp_path, settings) == rows  # nobody is there any more


def test_a_server_that_is_killed_and_started_again_is_gone_on_with(llama, tmp_path):
    requests = [values(number) for number in range(60)]
    with llama() as server, Relay(server.port) as relay:

        def restart():
            eventually(lambda: len(relay.passed) >= 20)
            server.kill()
            killed.extend(relay.passed)
            server.start()

        killed: list[Passed] = []
        desk = Desk(tmp_path, relay.url, in_flight=2, retries=10, retry_wait=0.2)
        restarting = threading.Thread(target=restart)
        restarting.start()
        got = desk.ask(*requests)
        restarting.join()
        assert all(isinstance(each, dict) for each in got), got
        assert 20 <= len(killed) < len(requests)
        answered, lost = told(relay)
        assert answered == Counter(map(key, requests))  # each once: what was answered is not asked again
        assert lost.total() <= 2  # those under way at the kill
        assert len(desk.files()) == len(requests)
        assert desk.ledger.spent().requests >= len(relay.passed)


def test_a_server_that_stands_still_for_a_while_is_waited_for(llama, tmp_path):
    with llama() as server, Relay(server.port) as relay:
        desk = Desk(tmp_path, relay.url, in_flight=2, timeout=20.0)
        server.pause(signal.SIGSTOP)
        threading.Timer(1.5, server.pause, (signal.SIGCONT,)).start()
        got = desk.ask(*(chat(number) for number in range(4)))
        assert [said(each) for each in got] == ["the words"] * 4
        assert len(relay.passed) == desk.ledger.spent().requests == 4


@pytest.mark.parametrize(("timeout", "is_lost"), [(0.5, False), (0.1, True)])
def test_one_that_stands_still_for_longer_is_asked_again_only_after_ten_time_outs(llama, tmp_path, timeout, is_lost):
    """Each question is answered once all the same."""
    requests = [chat(number) for number in range(4)]
    with llama() as server, Relay(server.port) as relay:
        desk = Desk(tmp_path, relay.url, in_flight=2, timeout=timeout, retries=20, retry_wait=0.2)
        server.pause(signal.SIGSTOP)
        threading.Timer(1.5, server.pause, (signal.SIGCONT,)).start()
        got = desk.ask(*requests)
        assert [said(each) for each in got] == ["the words"] * 4
        answered, lost = told(relay)
        assert answered == Counter(map(key, requests))
        assert (lost.total() > 0) == is_lost
        assert max(lost.values(), default=0) <= 1
        assert desk.ledger.spent().requests == len(relay.passed)


def test_who_waits_longer_for_a_slot_than_the_time_out_is_answered_in_the_end(llama, tmp_path):
    """A question is asked again only if nobody waits for its first answer any more."""
    requests = [long(number) for number in range(4)]
    with llama(slots=1) as server, Relay(server.port) as relay:
        began = time.monotonic()
        httpx.post(f"{server.url}/chat/completions", json=dict(long(99).body), timeout=60)
        timeout = 2.5 * (time.monotonic() - began)
        desk = Desk(tmp_path, relay.url, in_flight=4, timeout=timeout, retries=30, retry_wait=0.05)
        got = desk.ask(*requests)
        assert [said(each)[:9] for each in got] == ["the words"] * 4
        assert {each["usage"]["completion_tokens"] for each in got} == {LONG}
        answered, lost = told(relay)
        assert answered == Counter(map(key, requests))
        spent = desk.ledger.spent()
        assert (spent.requests, spent.unsettled) == (len(relay.passed), 0)
        assert spent.completion == LONG * (len(requests) + lost.total())  # what ran out of time may have been written


def test_an_answer_that_does_not_come_is_waited_for_twice_and_no_more(llama, tmp_path):
    with llama(slots=1) as server, Relay(server.port) as relay:
        server.pause(signal.SIGSTOP)
        desk = Desk(tmp_path, relay.url, timeout=0.1, retries=6, retry_wait=0.05)
        (failed,) = desk.ask(long(0))
        server.pause(signal.SIGCONT)
        assert isinstance(failed, CallFailed)
        assert (failed.by, failed.reason) == ("server", "no answer in time, 2 times")
        assert {each.status for each in relay.passed} == {None}
        spent = desk.ledger.spent()
        assert len(relay.passed) == spent.requests == 2
        assert (spent.completion, spent.unsettled) == (LONG * spent.requests, 0)

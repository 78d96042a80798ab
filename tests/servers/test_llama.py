"""The project's client and stage against llama.cpp's own server."""

import json
import signal
import subprocess
import threading

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.llm import answers
from sparse_coding.llm.ledger import Limits
from tests.interp import asked
from tests.llm.asking import Desk, chat, said
from tests.servers.conftest import HERE, MODEL

pytestmark = pytest.mark.server

KEYS = [str(number) for number in range(12)]
DIGIT = {"type": "integer", "enum": list(range(10))}
SCHEMA = {"type": "object", "additionalProperties": False, "properties": dict.fromkeys(KEYS, DIGIT), "required": KEYS}
FORMAT = {"type": "json_schema", "json_schema": {"name": "v", "strict": True, "schema": SCHEMA}}


def values(number=0, **fields):
    wish = {"response_format": FORMAT, "logprobs": True, "top_logprobs": 20, "max_tokens": 300}
    return chat(number, **wish, **fields)


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
    with llama(context=1024, slots=2) as server:
        got = Desk(tmp_path, server.url).ask(chat(content="a" * 2000))[0]
        assert "exceeds the available context size (512 tokens)" in str(got)
        with pytest.raises(BadInput, match="512"):
            asked.run(planted_site, tmp_path, asked.settings(server.url, features=2))
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
    with llama() as server:
        desk = Desk(tmp_path, server.url, in_flight=2, retries=10, retry_wait=0.2)
        restart = threading.Thread(target=lambda: (server.kill(), server.start()))
        timer = threading.Timer(0.5, restart.start)
        timer.start()
        got = desk.ask(*requests)
        timer.join()
        restart.join()
    assert all(isinstance(each, dict) for each in got), got
    bodies = {json.dumps(request.body, sort_keys=True) for request in requests}
    assert len(desk.files()) == len(bodies)
    assert desk.ledger.spent().requests <= len(requests) + 2 * 10  # those under way at the kill, no answered one


def test_a_server_that_stands_still_for_a_while_is_waited_for(llama, tmp_path):
    with llama() as server:
        desk = Desk(tmp_path, server.url, in_flight=2, timeout=20.0)
        server.pause(signal.SIGSTOP)
        threading.Timer(1.5, server.pause, (signal.SIGCONT,)).start()
        got = desk.ask(*(chat(number) for number in range(4)))
        assert [said(each) for each in got] == ["the words"] * 4
        assert desk.ledger.spent().requests == 4

"""What is left out where a server refuses it."""

import asyncio
from itertools import combinations

import pytest

from sparse_coding.llm import degrade
from sparse_coding.llm.faults import CallFailed
from sparse_coding.llm.request import Request
from tests.llm.asking import Desk, chat, full, said
from tests.model_server import Fault, ModelServer

FIELDS = ("logprobs", "response_format", "temperature", "seed", "max_tokens")
SUBSETS = [set(some) for n in range(len(FIELDS) + 1) for some in combinations(FIELDS, n)]


@pytest.mark.parametrize("vague", [False, True], ids=["named", "vague"])
def test_every_server_answers(tmp_path, vague):
    for number, rejects in enumerate(SUBSETS):
        with ModelServer(rejects=rejects, vague=vague) as server:
            desk = Desk(tmp_path / str(number), server.url)
            assert said(desk.ask(full())[0]) == '{"0":9}'
            bodies = [asked.body for asked in server.asked]
        assert not rejects & bodies[-1].keys()
        steps = [FIELDS.index(it) + 1 for it in rejects]
        doubt = 1  # a refusal that names nothing is not believed at once
        assert len(bodies) == 1 + (len(rejects) if not vague else max(steps, default=-doubt) + doubt)
        if "max_tokens" in rejects:
            assert bodies[-1]["max_completion_tokens"] == 50
        if not vague:
            assert {*FIELDS} - rejects <= bodies[-1].keys()
        assert ("top_logprobs" in bodies[-1]) == ("logprobs" in bodies[-1])
        assert desk.ledger.spent().prompt < 100  # refusals are free


@pytest.mark.parametrize("vague", [False, True], ids=["named", "vague"])
@pytest.mark.parametrize(
    "rejects", [{"logprobs"}, {"seed", "temperature"}, {*FIELDS}], ids=lambda fields: " ".join(sorted(fields))
)
def test_many_in_flight(tmp_path, rejects, vague):
    with ModelServer(rejects=rejects, vague=vague, latency=0.005) as server:
        answers = Desk(tmp_path, server.url).ask(*(full(number) for number in range(60)))
        assert {said(answer) for answer in answers} == {'{"0":9}'}
        refused = sum(not asked.answered for asked in server.asked)
        assert refused <= 16 + 6  # each that was under way, and the steps of one of them


def test_what_names_nothing_teaches_nothing(tmp_path):
    def faults(asked, number):
        return Fault("bad_request") if asked.body["messages"][0]["content"].endswith("7") else None

    with ModelServer(faults) as server:
        answers = Desk(tmp_path, server.url).ask(*(full(number) for number in range(40)))
        failed = [answer for answer in answers if isinstance(answer, CallFailed)]
        assert [answers.index(each) for each in failed] == [7, 17, 27, 37]
        assert {(each.reason, each.by) for each in failed} == {("HTTP 400: Invalid request.", "refusal")}
        assert all(answer["choices"][0]["logprobs"] for answer in answers if isinstance(answer, dict))
        good = [asked.body for asked in server.asked if asked.answered]
        assert all({*FIELDS} <= body.keys() for body in good)
        assert len(good) == 36


def test_too_long_strips_nothing(tmp_path):
    with ModelServer([Fault("too_long")]) as server:
        failed, good = (Desk(tmp_path, server.url).ask(full(number))[0] for number in range(2))
        assert isinstance(failed, CallFailed)
        assert "maximum context length" in failed.reason
        assert said(good)
        assert all({*FIELDS} <= asked.body.keys() for asked in server.asked)
        assert len(server.asked) == 2


def test_models_and_endpoints_learn_for_themselves(tmp_path):
    def faults(asked, number):
        return Fault("bad_request") if asked.path.endswith("chat/completions") and "max_tokens" in asked.body else None

    echo = {"model": "m", "prompt": 'Feature: "x"\n"a"\tunknown', "echo": True, "logprobs": 5, "max_tokens": 1}
    with ModelServer(faults) as server:
        desk = Desk(tmp_path, server.url)

        async def one_after_the_other():
            async with desk.client() as client:
                told = await client.ask(chat())
                return told, await client.ask(Request("completions", {**echo, "temperature": 0, "seed": 1}))

        told, echoed = asyncio.run(one_after_the_other())
        assert said(told) == "9"
        assert echoed["choices"][0]["logprobs"]["tokens"]
        assert {"temperature", "seed", "max_tokens", "logprobs"} <= server.asked[-1].body.keys()


def test_without():
    body = {"a": 1, "logprobs": True, "top_logprobs": 5, "max_tokens": 3}
    assert degrade.without(body, ()) == body
    assert degrade.without(body, ["max_tokens", "logprobs", "foreign"]) == {"a": 1, "max_completion_tokens": 3}
    assert body["max_tokens"] == 3
    for named, word in [("logprobs", "top_logprobs"), ("seed", "seed"), ("max_tokens", "'max_tokens'")]:
        assert degrade.next_to_drop("chat/completions", dict.fromkeys(FIELDS), f"no {word} here") == named
    assert degrade.next_to_drop("chat/completions", {"seed": 1}, "no temperature") == "seed"
    assert degrade.next_to_drop("chat/completions", {"model": 1}, "no seed") is None
    assert degrade.next_to_drop("completions", {"logprobs": 5, "max_tokens": 1}, "no logprobs") is None


def test_what_is_left_out_is_said_once(tmp_path, capsys):
    with ModelServer(rejects={"logprobs", "max_tokens"}, latency=0.005) as server:
        Desk(tmp_path, server.url).ask(*(full(number) for number in range(20)))
    (line,) = capsys.readouterr().err.splitlines()
    assert "m is asked without logprobs, max_tokens (by its old name) from now on (HTTP 400: Unsupported" in line


def test_one_vague_refusal_that_passes_costs_nothing(tmp_path):
    with ModelServer([Fault("bad_request")]) as server:
        answers = Desk(tmp_path, server.url).ask(*(full(number) for number in range(20)))
        assert all(answer["choices"][0]["logprobs"] for answer in answers)
        assert all({*FIELDS} <= asked.body.keys() for asked in server.asked)
        assert len(server.asked) == 21

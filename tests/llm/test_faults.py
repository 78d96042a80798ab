"""What a failed call means, and that wishes to be left alone are honoured."""

import time
from email.utils import formatdate

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.errors import Paused
from sparse_coding.llm import client as client_module
from sparse_coding.llm.faults import CallFailed, ServerStops, fault_of
from sparse_coding.llm.ledger import Limits
from tests.llm.asking import Desk, chat, raw_server, reply, said
from tests.model_server import Fault, ModelServer

KINDS = dict.fromkeys(range(400, 600), "fail")
KINDS |= dict.fromkeys(range(300, 400), "stop")
KINDS |= dict.fromkeys([401, 402, 403, 404], "stop")
KINDS |= dict.fromkeys([400, 422], "degrade")
KINDS |= dict.fromkeys([408, 409, 425, 429, *range(500, 600)], "again")


def status_error(status, body=None, **headers):
    request = httpx2.Request("POST", "http://a/v1")
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return openai.APIStatusError("words", response=httpx2.Response(status, headers=headers, request=request), body=body)


@pytest.mark.parametrize("body", [None, "text", {}, {"message": None}, {"message": 7, "code": 3}, ["x"], {"type": []}])
def test_every_status(body):
    for status, kind in KINDS.items():
        fault = fault_of(status_error(status, body))
        assert (status, fault.kind) == (status, kind)
        assert fault.may_cost == (status in (502, 504, 524))
        assert str(status) in fault.reason


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [(429, {"code": "insufficient_quota"}, "stop"), (429, {"type": "insufficient_quota"}, "stop"),
     (429, {"message": "You exceeded your quota of a minute"}, "again"),
     (400, {"code": "context_length_exceeded"}, "fail"), (422, {"message": "maximum context length is 8"}, "fail"),
     (400, {"message": "Unsupported: seed"}, "degrade"), (422, {"detail": [{"loc": ["seed"]}]}, "degrade")],
)  # fmt: skip
def test_what_the_body_says(status, body, kind):
    assert fault_of(status_error(status, body)).kind == kind


@pytest.mark.parametrize(
    ("headers", "wait"),
    [({}, None), ({"retry-after": "7"}, 7), ({"retry-after": "0.5"}, 0.5), ({"retry-after-ms": "30"}, 0.03),
     ({"retry-after": "7", "retry-after-ms": "30"}, 0.03), ({"retry-after": "7", "retry-after-ms": "soon"}, 7),
     ({"retry-after": "-5"}, 0), ({"retry-after": "soon"}, None), ({"retry-after": ""}, None),
     ({"retry-after": "inf"}, None), ({"retry-after": "nan"}, None), ({"retry-after-ms": "1e999"}, None),
     ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0), ({"retry-after": "Wed, 99 Oct 2015"}, None),
     ({"retry-after": "Mon, 01 Jan 2035 00:00:00 +99999999999999999"}, None)],
)  # fmt: skip
def test_waits(headers, wait):
    assert fault_of(status_error(429, **headers)).wait == wait


def test_wait_until_a_date():
    wait = fault_of(status_error(503, retry_after=formatdate(time.time() + 100, usegmt=True))).wait
    assert wait is not None
    assert 95 < wait <= 100


@given(st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"])))
def test_nonsense_is_no_wait(text):
    wait = fault_of(status_error(429, retry_after=text.encode("latin-1"), retry_after_ms=text.encode("latin-1"))).wait
    assert wait is None or 0 <= wait < float("inf")


@given(st.text(max_size=400), st.text(max_size=30), st.sampled_from([400, 401, 429, 500, 307]))
def test_no_reason_holds_the_key_or_a_part_of_it(before, after, status):
    key = "sk-0123456789"
    fault = fault_of(status_error(status, {"message": f"{before}{key}{after}"}, location=f"http://b/{key}"), key)
    assert "sk-" not in fault.reason.replace(before[:300], "")
    assert "\n" not in fault.reason
    assert len(fault.reason) < 400


def timed():
    """When each request came in."""
    at = []

    def script(fault_at):
        def faults(asked, number):
            at.append(time.monotonic())
            return fault_at.get(number)

        return faults

    return at, script


WAITS = [Fault("rate", retry_after=0.4), Fault("busy", retry_after_ms=400)]


@pytest.mark.parametrize("fault", WAITS, ids=str)
@pytest.mark.parametrize("retries", [0, 2])
def test_nobody_sends_before_the_wait_is_over(tmp_path, monkeypatch, fault, retries):
    at, script = timed()
    heard = []  # when our side learns of it: on busy cores that is well after the server has said so
    monkeypatch.setattr(client_module, "fault_of", lambda *error: (heard.append(time.monotonic()), fault_of(*error))[1])
    with ModelServer(script({5: fault}), latency=0.03) as server:
        answers = Desk(tmp_path, server.url, retries=retries, in_flight=4).ask(*(chat(n) for n in range(20)))
        lost = [answer for answer in answers if isinstance(answer, CallFailed)]
        assert len(lost) == (1 if retries == 0 else 0)
        assert len(heard) == 1
        assert not [it for it in at if heard[0] + 0.025 < it < heard[0] + 0.399]
        assert len(at) == 20 + bool(retries)


def test_nor_near_a_cap(tmp_path):
    """Those who wait for others to be settled are silent too."""
    at, script = timed()
    most = chat().most_prompt_tokens + 50
    with ModelServer(script({2: WAITS[0]})) as server:
        desk = Desk(tmp_path, server.url, Limits(tokens=most + 200), in_flight=4)
        answers = desk.ask(*(chat(n) for n in range(5)))
        assert all(isinstance(answer, dict) for answer in answers)
        assert at[3] - at[2] > 0.399


def test_more_than_patience_ends_the_run(tmp_path, monkeypatch):
    assert client_module.MOST_PATIENCE == 900
    with ModelServer(lambda asked, number: Fault("rate", retry_after=901) if number == 3 else None) as server:
        answers = Desk(tmp_path, server.url, in_flight=1).ask(*(chat(number) for number in range(9)))
        assert [type(answer) for answer in answers] == [dict] * 3 + [ServerStops] * 6
        assert "left alone for 901 s" in str(answers[3])
        assert len(server.asked) == 4


@pytest.mark.parametrize("kind", ["server", "rate", "drop", "half", "undecodable", "gateway"])
def test_retries_are_bounded_and_counted(tmp_path, kind):
    with ModelServer(lambda asked, number: Fault(kind)) as server:
        desk = Desk(tmp_path, server.url, retries=3)
        (failed,) = desk.ask(chat())
        assert isinstance(failed, CallFailed)
        assert failed.by == "server"
        assert failed.reason.endswith(", 4 times")
        assert len(server.asked) == 4
        spent = desk.ledger.spent()
        charged = kind in ("drop", "half", "undecodable", "gateway")
        assert (spent.requests, spent.unsettled) == (4, 0)
        assert spent.tokens == 4 * (chat().most_prompt_tokens + 50) * charged


@pytest.mark.parametrize("kind", ["quota", "key", "key_limit", "model"])
def test_what_stops_stops_all_and_those_in_flight_are_kept(tmp_path, kind):
    def faults(asked, number):
        return Fault(kind) if number == 2 else Fault("slow", seconds=0.2)

    with ModelServer(faults) as server:
        desk = Desk(tmp_path, server.url, in_flight=4)
        answers = desk.ask(*(chat(number) for number in range(30)))
        assert len(server.asked) == 4
        assert [type(answer) for answer in answers].count(dict) == 3 == len(desk.files())
        stops = [answer for answer in answers if not isinstance(answer, dict)]
        assert {type(stop) for stop in stops} == {ServerStops}
        assert not any(isinstance(stop, Paused) for stop in stops)
        assert desk.ledger.spent().unsettled == 0
        assert [said(answer) for answer in answers if isinstance(answer, dict)] == ["9"] * 3


def test_a_stop_is_heard_in_the_silence(tmp_path):
    def faults(asked, number):
        if number == 0:
            return Fault("rate", retry_after=100)
        time.sleep(0.3)
        return Fault("quota")

    with ModelServer(faults) as server:
        begun = time.monotonic()
        answers = Desk(tmp_path, server.url, in_flight=2).ask(*(chat(number) for number in range(4)))
        assert {type(answer) for answer in answers} == {ServerStops}
        assert time.monotonic() - begun < 5


def test_a_redirection_is_not_followed(tmp_path):
    with raw_server(reply(b"", 307, location="http://127.0.0.1:1/else")) as server:
        (stop,) = Desk(tmp_path, server.url).ask(chat())
        assert isinstance(stop, ServerStops)
        assert "a redirection to http://127.0.0.1:1/else (HTTP 307)" in str(stop)
        assert len(server.asked) == 1

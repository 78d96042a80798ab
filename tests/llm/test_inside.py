"""Errors of a provider inside a 200: asked again, charged as they say, never kept, and absent where one was kept."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.llm.faults import CallFailed, ServerStops
from sparse_coding.llm.inside import error_in, fault_in
from tests.llm.asking import KEY, Desk, answer_of, chat, full, raw_server, reply, said
from tests.model_faults import PROVIDER
from tests.model_server import Fault, ModelServer

MOST = chat().most_prompt_tokens + 50
USAGE = {"prompt_tokens": 12, "completion_tokens": 3}
GOOD = {**answer_of("9"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}}

ERRORS = [
    answer_of("", finish_reason="error"),
    answer_of("half of", finish_reason="error", error=PROVIDER),
    answer_of(None, finish_reason=None, error={"message": "gone"}),
    {"error": PROVIDER},
    {"error": PROVIDER, "choices": []},
    {**answer_of("9"), "error": PROVIDER},
    {**answer_of("9"), "error": {"code": "server_error", "message": None}},
    {"error": "out of memory"},
    {"error": {"code": 429, "message": "slow down"}},
    {"error": {"code": "503", "message": "overloaded"}},
    {"error": {"code": 999999, "message": "no status"}},
]


@pytest.mark.parametrize("usage", [None, USAGE, {"prompt_tokens": 0, "completion_tokens": 0}])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: json.dumps(error)[:40])
def test_an_error_is_asked_for_again_charged_as_it_says_and_not_kept(tmp_path, error, usage):
    with raw_server(reply({**error, "usage": usage})) as server:
        desk = Desk(tmp_path, server.url, retries=1)
        (failed,) = desk.ask(chat())
        assert isinstance(failed, CallFailed)
        assert failed.by == "server"
        assert failed.reason.startswith("an error inside an answer (")
        assert failed.reason.endswith("), 2 times")
        assert len(server.asked) == desk.ledger.spent().requests == 2
        assert desk.ledger.spent().tokens == 2 * (sum(usage.values()) if usage else MOST)
        assert desk.ledger.spent().unsettled == 0
        assert not desk.files()
        server.replies.append(reply(GOOD))
        assert desk.ask(chat()) == [GOOD] == desk.ask(chat())
        assert len(server.asked) == 3


NO_ERRORS = [None, {}, "", [], {"code": None, "message": ""}, {"message": "", "type": "", "param": "", "code": 0}]


@pytest.mark.parametrize("error", NO_ERRORS)
def test_an_empty_error_is_none(tmp_path, error):
    answer = {**GOOD, "error": error}
    with raw_server(reply(answer)) as server:
        assert Desk(tmp_path, server.url).ask(chat()) == [answer]
        assert len(server.asked) == 1


@pytest.mark.parametrize("kind", ["error_in_choice", "error_in_place"])
def test_one_that_passes(tmp_path, kind):
    with ModelServer([Fault(kind)]) as server:
        desk = Desk(tmp_path, server.url)
        assert said(desk.ask(chat())[0]) == "9"
        assert len(server.asked) == 2
        assert len(desk.files()) == 1


@pytest.mark.parametrize("by_address", [False, True])
@pytest.mark.parametrize("error", ERRORS[:6], ids=range(6))
def test_one_that_an_earlier_version_kept_is_absent_and_is_put_over(tmp_path, capsys, error, by_address):
    with ModelServer() as server:
        desk = Desk(tmp_path, server.url, server="here", by_address=by_address)
        old = chat().key(server.url if by_address else "here")
        desk.cache.put(old, {"request": dict(chat().body), "dropped": [], "answer": error})
        assert desk.client().known(chat()) is None
        (answer,) = desk.ask(chat())
        assert said(answer) == "9"
        assert desk.client().known(chat()) == answer
        assert desk.ask(chat()) == [answer]
        assert len(server.asked) == 1
    assert "damaged" not in capsys.readouterr().err


CODES = [
    ({"code": 401, "message": "bad key"}, "stop", "the key is not accepted (HTTP 401: bad key)"),
    ({"code": "402", "message": "pay"}, "stop", "payment is asked for"),
    ({"code": 404, "message": "no endpoints"}, "stop", "no such model"),
    ({"code": 429, "type": "insufficient_quota"}, "stop", "the quota is used up"),
    ({"code": 429, "message": "slow"}, "again", "HTTP 429: slow"),
    ({"code": 400, "message": "maximum context length is 8"}, "fail", "context length"),
    ({"code": 400, "message": "seed?"}, "degrade", "seed"),
    ({"code": 403, "message": "x", "metadata": {"reasons": ["violence"], "flagged_input": "y"}}, "fail", "violence"),
    ({"code": 403, "message": "no"}, "stop", "access is denied"),
    ({"code": "content_filter", "message": "filtered"}, "fail", "content_filter filtered"),
    ({"code": 200, "message": "?"}, "again", "200 ?"),
    (PROVIDER, "again", "HTTP 502: Provider returned error (P: upstream)"),
    ({"message": "m", "metadata": {"raw": {"data": "deep"}}}, "again", 'm ({"data": "deep"})'),
]


@pytest.mark.parametrize(("error", "kind", "words"), CODES)
def test_a_status_inside_decides_like_one(error, kind, words):
    for answer in ({"error": error}, answer_of("", finish_reason="error", error=error)):
        fault = fault_in(answer, {"retry-after": "7"}, KEY)
        assert fault is not None
        assert (fault.kind, fault.may_cost, fault.used) == (kind, True, None)
        assert words in fault.reason
        assert fault.wait == (7 if kind == "again" and "HTTP" in fault.reason else None)


@pytest.mark.parametrize("code", ["content_filter", "content_policy_violation"])
def test_a_filter_inside_is_about_the_words_as_elsewhere(code):
    fault = fault_in({"error": {"code": code, "message": "filtered"}, "usage": USAGE}, {}, KEY)
    assert (fault.kind, fault.by, fault.used[:2]) == ("fail", "words", (12, 3))


def test_a_stop_inside_stops_all_and_says_no_key(tmp_path):
    with raw_server(reply({"error": {"code": 402, "message": f"no credits for {KEY}"}})) as server:
        stops = Desk(tmp_path, server.url, in_flight=1).ask(*(chat(number) for number in range(5)))
        assert {type(stop) for stop in stops} == {ServerStops}
        assert "no credits for [key]" in str(stops[0])
        assert KEY not in repr(stops)
        assert len(server.asked) == 1


def test_a_parameter_that_is_refused_inside_is_left_out(tmp_path):
    refusal = {"error": {"code": 400, "message": "Provider returned error", "metadata": {"raw": "no seed, please"}}}
    with raw_server(reply(refusal), reply(GOOD)) as server:
        assert Desk(tmp_path, server.url).ask(full()) == [GOOD]
        assert [b'"seed"' in asked for asked in server.asked] == [True, False]


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["code", "message", "metadata", "raw", "innererror", "type"]) | st.text(), inner
        )
    ),
    max_leaves=8,
)


@given(ANY, ANY, ANY)
def test_whatever_stands_there_is_read(error, choice, usage):
    for answer in ({"error": error, "usage": usage}, {"choices": [{"error": error}]}, {"choices": choice}):
        fault = fault_in(answer, {}, KEY)
        assert (fault is None) == (error_in(answer) is None)
        if fault is not None:
            fault.reason.encode()
            assert len(fault.reason) < 400

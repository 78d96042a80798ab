"""A question that is refused for what it says fails alone; what holds for all questions ends the run."""

import pytest

from sparse_coding.llm.faults import CallFailed, ServerStops, fault_of
from tests.llm.asking import Desk, chat, full, raw_server, reply
from tests.llm.test_faults import status_error
from tests.model_server import Fault, ModelServer

MOST = full().most_prompt_tokens + 50
MUTE = Fault("forbidden")

FLAGGED = [
    (403, {"code": 403, "message": "x", "metadata": {"reasons": ["violence"], "flagged_input": "y"}}),
    (403, {"message": "x", "metadata": {"flagged_input": "y"}}),
    (403, {"message": 'm requires moderation on P. Your input was flagged for "violence".'}),
    (403, {"message": "Blocked by our Content Policy"}), (403, {"message": "against the usage policies"}),
    (403, {"message": "Provider returned error", "metadata": {"raw": "finishReason: SAFETY"}}),
    (403, "the request was blocked by a content filter"), (403, {"code": "content_policy_violation"}),
    (400, {"code": "content_filter", "message": "filtered"}), (422, {"type": "content_policy_violation"}),
    (400, {"message": "m", "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}}}),
    (400, {"message": "m", "metadata": {"reasons": ["hate"]}}),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body"), FLAGGED)
def test_flagged(status, body):
    fault = fault_of(status_error(status, body))
    assert (fault.kind, fault.may_cost) == ("fail", status != 403)
    assert fault.reason.startswith(f"the question was flagged (HTTP {status}: ")


NOT_FLAGGED = [
    (403, {"message": "Access denied."}, "stop", True), (403, {"message": "no safety_identifier"}, "stop", True),
    (403, {"message": "Key limit exceeded (total limit)."}, "stop", False),
    (403, {"message": "Your credit balance is too low"}, "stop", False), (403, None, "stop", True),
    (403, {"message": "x", "metadata": {"reasons": [], "flagged_input": ""}}, "stop", True),
    (400, {"message": "safety settings are unknown"}, "degrade", False),
    (400, {"message": "m", "innererror": "ResponsibleAIPolicyViolation"}, "degrade", False),
    (401, {"message": "this key was flagged"}, "stop", False), (500, {"message": "moderation is down"}, "again", False),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "of_one"), NOT_FLAGGED)
def test_not_flagged(status, body, kind, of_one):
    fault = fault_of(status_error(status, body))
    assert (fault.kind, fault.of_one) == (kind, of_one)


@pytest.mark.parametrize("kind", ["flagged", "filtered"])
def test_a_flagged_question_fails_alone_and_is_sent_once(tmp_path, kind):
    with ModelServer([Fault(kind)]) as server:
        desk = Desk(tmp_path, server.url, in_flight=1)
        failed, *others = desk.ask(*(full(number) for number in range(5)))
        assert isinstance(failed, CallFailed)
        assert failed.by == "words"
        assert "the question was flagged" in failed.reason
        assert all(isinstance(answer, dict) for answer in others)
        assert len(server.asked) == 5
        assert all({"seed", "logprobs", "response_format"} <= asked.body.keys() for asked in server.asked)
        assert (desk.ledger.spent().tokens > MOST) == (kind == "filtered")  # Azure may charge for it


def test_a_mute_403_is_about_one_question_where_others_were_answered(tmp_path):
    with ModelServer(lambda asked, number: MUTE if number in (3, 5) else None) as server:
        answers = Desk(tmp_path, server.url, in_flight=1).ask(*(chat(number) for number in range(8)))
        failed = [answer for answer in answers if isinstance(answer, CallFailed)]
        assert [each.by for each in failed] == ["refusal", "refusal"]  # it may be access that is lost
        assert all("access is denied (HTTP 403: Access denied.)" in each.reason for each in failed)
        assert len(server.asked) == 8


def test_or_are_about_to_be(tmp_path):
    """A filter is faster than a model."""
    with ModelServer(lambda asked, number: MUTE if number == 0 else Fault("slow", seconds=0.3)) as server:
        answers = Desk(tmp_path, server.url, in_flight=4).ask(*(chat(number) for number in range(8)))
        assert [type(answer) for answer in answers].count(dict) == 7
        assert [type(answer) for answer in answers].count(CallFailed) == 1


@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_mute_403_ends_a_run_in_which_nothing_was_answered(tmp_path, in_flight):
    with ModelServer(lambda asked, number: MUTE) as server:
        desk = Desk(tmp_path, server.url, in_flight=in_flight)
        *first, stop = desk.ask(*(chat(number) for number in range(20)))
        assert [type(each) for each in first].count(CallFailed) == (in_flight == 1)
        assert {type(each) for each in first} <= {ServerStops, CallFailed}
        assert "access is denied" in str(stop)
        assert len(server.asked) == max(in_flight, 2)
        assert (desk.ledger.spent().unsettled, desk.ledger.spent().tokens) == (0, 0)


def test_the_first_question_of_a_run_may_be_the_one(tmp_path):
    with ModelServer([MUTE]) as server:
        failed, *answers = Desk(tmp_path, server.url, in_flight=1).ask(*(chat(number) for number in range(4)))
        assert isinstance(failed, CallFailed)
        assert [type(answer) for answer in answers] == [dict] * 3
        assert len(server.asked) == 4


def test_another_model_that_answers_tells_nothing(tmp_path):
    with ModelServer(lambda asked, number: MUTE if asked.body["model"] == "locked" else None) as server:
        desk = Desk(tmp_path, server.url, in_flight=1)
        *answers, failed, stop = desk.ask(*(chat(n, model=m) for m in ("m", "locked") for n in range(2)))
        assert [type(answer) for answer in answers] == [dict] * 2
        assert isinstance(failed, CallFailed)
        assert isinstance(stop, ServerStops)


def test_what_speaks_of_the_account_ends_the_run_whoever_answered(tmp_path):
    with ModelServer([None, None, Fault("key_limit")]) as server:
        answers = Desk(tmp_path, server.url, in_flight=1).ask(*(chat(number) for number in range(9)))
        assert [type(answer) for answer in answers] == [dict] * 2 + [ServerStops] * 7
        assert len(server.asked) == 3


def test_a_flagged_input_is_not_in_the_reason(tmp_path):
    error = {"code": 403, "message": "moderated", "metadata": {"reasons": ["hate"], "flagged_input": "the text"}}
    with raw_server(reply({"error": error}, 403)) as server:
        (failed,) = Desk(tmp_path, server.url).ask(chat())
        assert failed.reason == 'the question was flagged (HTTP 403: moderated (["hate"]))'

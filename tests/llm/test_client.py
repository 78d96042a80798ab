"""The client: what is sent, kept, charged and said."""

import asyncio
import socket

import pytest

from sparse_coding.errors import BadInput, Paused
from sparse_coding.llm import client
from sparse_coding.llm.faults import CallFailed, ServerStops
from sparse_coding.llm.ledger import Limits, Price
from tests.llm.asking import KEY, Desk, answer_of, chat, raw_server, reply, said
from tests.model_server import Fault, ModelServer

MOST = chat().most_prompt_tokens + 50
USED = 17  # tokens of a call, as the server counts
UNTOLD = {"usage": None}


def test_the_same_question_is_sent_once(tmp_path):
    with ModelServer(latency=0.05) as server:
        desk = Desk(tmp_path, server.url)
        answers = desk.ask(*[chat()] * 20)
        assert {said(answer) for answer in answers} == {"9"}
        assert len(server.asked) == desk.ledger.spent().requests == 1


def test_questions_that_were_asked_leave_nothing_behind(tmp_path):
    with ModelServer() as server:
        desk = Desk(tmp_path, server.url)

        async def all_of_them():
            async with desk.client() as client:
                assert not client.known(chat(0))
                await asyncio.gather(*(client.ask(chat(number % 10)) for number in range(30)))
                assert client.known(chat(0))
                return len(client._same), client._under_way

        assert asyncio.run(all_of_them()) == (0, 0)


# --- Caps ---


def used(folder, url):
    """Tokens and USD of one call."""
    desk = Desk(folder, url)
    desk.ask(chat())
    return desk.ledger.spent().tokens, desk.ledger.spent().cost


@pytest.mark.parametrize("in_flight", [1, 4, 16])
@pytest.mark.parametrize("cap", ["tokens", "cost", "requests"])
def test_a_cap_is_kept_and_used_up(tmp_path, cap, in_flight):
    n = 20
    with ModelServer(latency=0.005) as server:
        tokens, cost = used(tmp_path / "one", server.url)
        most = Price(1.0, 2.0).of(chat().most_prompt_tokens, 50)
        # Room for n - 1 settled calls and the reservation of one more.
        room = {"tokens": tokens * (n - 1) + MOST, "cost": cost * (n - 1) + most, "requests": n}[cap]
        server.forget()
        desk = Desk(tmp_path / "many", server.url, Limits(**{cap: room}), in_flight=in_flight)
        answers = desk.ask(*(chat(number) for number in range(60)))
        spent = desk.ledger.spent()
        assert [type(answer) for answer in answers].count(dict) == len(server.asked) == spent.requests == n
        assert {type(answer) for answer in answers} == {dict, Paused}
        assert (spent.tokens, spent.unsettled) == (tokens * n, 0)
        assert spent.cost == pytest.approx(cost * n)
        # More room: only what is missing is asked for.
        more = Desk(tmp_path / "many", server.url, Limits(), in_flight=in_flight)
        assert all(isinstance(answer, dict) for answer in more.ask(*(chat(number) for number in range(60))))
        assert len(server.asked) == 60


def test_a_cap_under_faults(tmp_path):
    kinds = [None, Fault("server"), Fault("drop"), None, Fault("no_usage"), Fault("half")]
    with ModelServer(lambda asked, number: kinds[number % 6], latency=0.002) as server:
        limits = Limits(tokens=12 * MOST)
        desk = Desk(tmp_path, server.url, limits)
        answers = desk.ask(*(chat(number) for number in range(60)))
        assert {type(answer) for answer in answers} <= {dict, Paused, CallFailed}
        assert desk.ledger.spent().tokens <= 12 * MOST
        assert desk.ledger.spent().requests == len(server.asked)
        assert sum(isinstance(answer, dict) for answer in answers) == len(desk.files()) >= 8


def test_at_a_cap_the_cache_still_answers(tmp_path):
    with ModelServer() as server:
        desk = Desk(tmp_path, server.url, Limits(requests=1))
        (first,) = desk.ask(chat(1))
        paused, again = desk.ask(chat(2), chat(1))
        assert isinstance(paused, Paused)
        assert again == first
        assert "at most 1 requests; spent so far 1 requests" in str(paused)


# --- Charges ---


USAGES = [None, {}, 5, [], "x", {"prompt_tokens": 5}, {"prompt_tokens": None, "completion_tokens": 2},
          {"prompt_tokens": "5", "completion_tokens": "2"}, {"prompt_tokens": -9, "completion_tokens": 2},
          {"prompt_tokens": 5, "completion_tokens": -2}, {"prompt_tokens": True, "completion_tokens": 2},
          {"prompt_tokens": 5.0, "completion_tokens": 2}, {"prompt_tokens": 5, "completion_tokens": [2]},
          {"prompt_tokens": 10**30, "completion_tokens": 2}]  # fmt: skip


def test_strange_usage_is_charged_at_the_most(tmp_path):
    for number, usage in enumerate(USAGES):
        with raw_server(reply({**answer_of("9"), "usage": usage})) as server:
            desk = Desk(tmp_path / str(number), server.url)
            assert said(desk.ask(chat())[0]) == "9"
            assert (usage, desk.ledger.spent().tokens) == (usage, MOST)


def test_usage_is_charged(tmp_path):
    with raw_server(
        reply({**answer_of("9"), "usage": {"prompt_tokens": 12, "completion_tokens": 0, "x": {}}})
    ) as server:
        desk = Desk(tmp_path, server.url)
        desk.ask(chat())
        assert (desk.ledger.spent().prompt, desk.ledger.spent().completion) == (12, 0)
        assert desk.ledger.spent().cost == pytest.approx(12e-6)


def test_no_answer_in_time_is_charged_at_the_most(tmp_path):
    with ModelServer([Fault("slow", seconds=5)]) as server:
        desk = Desk(tmp_path, server.url, retries=0, timeout=0.1)
        (failed,) = desk.ask(chat())
        assert (failed.reason, failed.by) == ("no answer in time, 1 times", "server")
        assert desk.ledger.spent().tokens == MOST


def test_nobody_there_is_free(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    desk = Desk(tmp_path, url, retries=1)
    (failed,) = desk.ask(chat())
    assert isinstance(failed, CallFailed)
    assert "no connection" in failed.reason
    assert (desk.ledger.spent().requests, desk.ledger.spent().tokens) == (2, 0)


def test_cancelled_calls_are_settled_at_the_most(tmp_path):
    with ModelServer(latency=0.5) as server:
        desk = Desk(tmp_path, server.url, Limits(tokens=3 * MOST), in_flight=8)

        async def cancelled():
            async with desk.client() as client:
                tasks = [asyncio.ensure_future(client.ask(chat(number))) for number in range(8)]
                while len(server.asked) < 3:
                    await asyncio.sleep(0.01)
                for task in tasks[:5]:
                    task.cancel()
                # The rest waited for these: they hear of it, and that nothing is left.
                return await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10), client._under_way

        ended, under_way = asyncio.run(cancelled())
        assert [type(each) for each in ended] == [asyncio.CancelledError] * 5 + [Paused] * 3
        assert under_way == 0
        spent = desk.ledger.spent()
        assert (spent.requests, spent.tokens, spent.unsettled) == (3, 3 * MOST, 0)


# --- Keys ---


@pytest.mark.parametrize("kind", ["key", "bad_request", "server"])
def test_no_message_holds_the_key(tmp_path, kind):
    said_by_server = {"error": {"message": f"{'x' * 290} {KEY} {KEY}", "code": kind}}
    status = {"key": 401, "bad_request": 400, "server": 500}[kind]
    with raw_server(reply(said_by_server, status)) as server, ModelServer(key="other") as other:
        for url in (server.url, other.url):
            (error,) = Desk(tmp_path / url[-8:-3], url, retries=0).ask(chat())
            while error is not None:
                assert "sk-s" not in repr(error)
                error = error.__cause__ or error.__context__


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}\r", "sk-sécret", "sk\x00", "sk-\u2028"])
def test_a_key_that_no_header_can_hold(tmp_path, key):
    desk = Desk(tmp_path, "http://127.0.0.1:1/v1", key=key)
    with pytest.raises(BadInput, match="the key: found letters that no header can hold") as error:
        desk.ask(chat())
    assert "sk" not in str(error.value)


def test_no_key_is_needed(tmp_path):
    with ModelServer() as server:
        assert said(Desk(tmp_path, server.url, key="").ask(chat())[0]) == "9"


# --- Strange servers ---


def test_fields_that_nobody_knows_are_kept(tmp_path):
    strange = {**answer_of("\ud83d \ud800", extra={"a": [1]}), "system_fingerprint": None, "provider": {"x": 1}}
    with raw_server(reply(strange)) as server:
        desk = Desk(tmp_path, server.url)
        assert desk.ask(chat()) == [strange]
        assert desk.ask(chat()) == [strange]
        assert len(server.asked) == 1


NO_ANSWERS = [b"[]", b"[{}]", b"null", b"7", b'"x"', b"", b"<html>", b"{}", b'{"error": {"code": 502}}',
              b"\xff\xfe\xfd", b"[" * 100_000, b'{"choices": ' + b"9" * 5000 + b"}"]  # fmt: skip


@pytest.mark.parametrize("body", NO_ANSWERS, ids=lambda body: repr(body[:12]))
def test_what_is_no_answer_is_asked_for_again_and_not_kept(tmp_path, body):
    good = {**answer_of("9"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
    with raw_server(reply(body), reply(good)) as server:
        desk = Desk(tmp_path, server.url)
        assert desk.ask(chat()) == [good]
        assert len(server.asked) == 2
        assert desk.ledger.spent().tokens == MOST + 2


def test_a_question_that_is_no_unicode_is_not_sent(tmp_path):
    with ModelServer() as server:
        desk = Desk(tmp_path, server.url)
        (failed,) = desk.ask(chat(content="\ud800"))
        assert isinstance(failed, CallFailed)
        assert "no Unicode" in failed.reason
        assert not server.asked
        assert desk.ledger.spent().tokens == 0


def test_a_server_that_hangs_up_between_calls(tmp_path):
    with raw_server(reply({**answer_of("9"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}})) as server:
        desk = Desk(tmp_path, server.url, in_flight=2)

        async def slowly():
            async with desk.client() as client:
                for number in range(6):
                    assert said(await client.ask(chat(number))) == "9"
                    await asyncio.sleep(0.01)

        asyncio.run(slowly())
        assert (len(server.asked), server.connections) == (6, 6)
        assert desk.ledger.spent().tokens == 12


def test_connections_are_kept(tmp_path):
    answer = reply({**answer_of("9"), "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    with raw_server(answer, keeps=True) as server:
        Desk(tmp_path, server.url, in_flight=2).ask(*(chat(number) for number in range(12)))
        assert len(server.asked) == 12
        assert server.connections <= 2


def test_an_error_of_the_disk_leaves_nobody_waiting(tmp_path):
    with ModelServer(latency=0.05) as server:
        desk = Desk(tmp_path, server.url, Limits(tokens=MOST + 10))
        desk.cache.folder.write_text("a file where the folder should be")
        ended = desk.ask(*(chat(number) for number in range(4)))
    assert {type(each) for each in ended} <= {NotADirectoryError, FileExistsError, Paused}
    assert desk.ledger.spent().unsettled == 0


def test_no_more_than_in_flight(tmp_path):
    with ModelServer(latency=0.05) as server:
        Desk(tmp_path, server.url, in_flight=5).ask(*(chat(number) for number in range(20)))
        assert server.most_at_once == 5


def test_over_is_over_for_all(tmp_path):
    with ModelServer([Fault("quota")]) as server:
        answers = Desk(tmp_path, server.url, in_flight=1).ask(*(chat(number) for number in range(5)))
        assert {type(answer) for answer in answers} == {ServerStops}
        assert len(server.asked) == 1


def test_near_a_cap_calls_of_other_processes_are_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "OTHERS", 1)
    with ModelServer() as server:
        desk = Desk(tmp_path, server.url, limits=Limits(tokens=MOST + USED))
        other = desk.ledger.reserve("judge", 40, 50)

        async def settles():
            await asyncio.sleep(0.3)
            desk.ledger.settle(other, "judge", 10, 7)

        async def both():
            async with desk.client() as asking:
                return (await asyncio.gather(asking.ask(chat()), settles()))[0]

        assert said(asyncio.run(both())) == "9"
        desk.ledger.reserve("judge", 1, 0)  # of a process that was killed: it stays
        assert isinstance(desk.ask(chat(1))[0], Paused)

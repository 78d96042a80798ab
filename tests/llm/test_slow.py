"""Servers that are slower than the time-out: what is asked there, and how often."""

import asyncio
import json
import threading
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.llm.faults import CallFailed, ServerStops
from sparse_coding.llm.pace import IN_A_ROW, LONGEST, Slots
from tests.llm.asking import Desk, chat, eventually, said
from tests.model_server import Fault, ModelServer

MOST = chat().most_prompt_tokens + 50


class Busy:
    """What befalls each POST: it waits for one of `slots`, first come first served, and is worked on for `seconds`."""

    def __init__(self, seconds, slots=256):
        self.seconds, self.most = seconds, 0
        self._slots, self._free, self._waiting, self._under_way = slots, threading.Condition(), [], 0

    def __call__(self, asked, number):
        with self._free:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            self._waiting.append(number)
            self._free.wait_for(lambda: self._slots and self._waiting[0] == number)
            self._waiting.pop(0)
            self._slots -= 1
            self._free.notify_all()
        time.sleep(self.seconds)
        with self._free:
            self._slots += 1
            self._under_way -= 1
            self._free.notify_all()


def numbered(asked):
    """The number of a question."""
    return int(asked.body["messages"][0]["content"])


def times_asked(server):
    """Of each question, by its number: how often it came in."""
    return Counter(numbered(asked) for asked in server.asked)


def paced(desk, n):
    """Answers or errors to `n` questions, and what the pace was then."""

    async def all_of_them():
        async with desk.client() as client:
            asked = (client.ask(chat(number)) for number in range(n))
            return await asyncio.gather(*asked, return_exceptions=True), client._pace

    return asyncio.run(all_of_them())


# --- Nothing is paid for twice ---


@pytest.mark.parametrize(
    ("seconds", "slots", "timeout", "n"),
    [(0.5, 256, 0.3, 100), (0.2, 4, 0.3, 50), (0.25, 1, 0.3, 20)],
    ids=["all side by side", "four slots", "one slot, where the last of the first waits for more than ten time-outs"],
)
def test_each_question_is_asked_once(tmp_path, capsys, seconds, slots, timeout, n):
    with ModelServer(Busy(seconds, slots)) as server:
        desk = Desk(tmp_path, server.url, timeout=timeout)
        answers, _ = paced(desk, n)
        assert {said(answer) for answer in answers} == {"9"}
        assert times_asked(server) == dict.fromkeys(range(n), 1)
        assert all(asked.answered for asked in server.asked)
        assert 8 < server.most_at_once <= 16
        assert (desk.ledger.spent().tokens, desk.ledger.spent().unsettled) == (17 * n, 0)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert f"{server.url}: no answer to a question in {timeout:g} s" in lines[0]
    assert "at most 8 from now on" in lines[0]
    assert f"up to {LONGEST * timeout:g} s" in lines[0]
    assert all(f"autointerp.llm.connection.{name}" in lines[0] for name in ("timeout", "in_flight"))


def test_a_server_that_is_in_time_is_asked_at_full_pace_and_nothing_is_said(tmp_path, capsys):
    with ModelServer(latency=0.02) as server:
        _, pace = paced(Desk(tmp_path, server.url, timeout=5.0), 80)
        assert (pace.slots.now, pace.wait) == (16, 5.0)
    assert capsys.readouterr().err == ""


def test_those_that_are_late_together_are_one_event(tmp_path):
    with ModelServer(Busy(1.2)) as server:
        _, pace = paced(Desk(tmp_path, server.url, timeout=0.8), 16)
        assert (pace.slots.now, pace.wait) == (8, 1.6)


def test_late_again_after_a_halving_halves_again_and_both_have_an_end(tmp_path, capsys):
    with ModelServer(Busy(0.7)) as server:
        _, pace = paced(Desk(tmp_path, server.url, timeout=0.08), 16 + 8 + 4 + 2 + 2)
        assert (pace.slots.now, pace.wait) == (1, pytest.approx(LONGEST * 0.08))
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_server_that_recovers_is_asked_more_again(tmp_path):
    busy = Busy(0.8)
    n = 8 + IN_A_ROW * (4 + 5 + 6 + 7) + 30  # 4 at a time, then 5, and so on; the last with 8

    def recovers(asked, number):
        if number == 8:
            busy.seconds, busy.most = 0.08, 0
        busy(asked, number)

    with ModelServer(recovers) as server:
        _, pace = paced(Desk(tmp_path, server.url, timeout=0.5, in_flight=8), n)
        assert (pace.slots.now, busy.most) == (8, 8)
        assert times_asked(server) == dict.fromkeys(range(n), 1)


# --- Questions that are never answered ---


def hangs_on(number):
    def script(asked, _):
        return Fault("slow", seconds=60) if numbered(asked) == number else None

    return script


@pytest.mark.parametrize(("retries", "times"), [(0, 1), (1, 2), (6, 2)])
def test_a_question_that_hangs_is_asked_at_most_twice_and_holds_nobody_up(tmp_path, retries, times):
    with ModelServer(hangs_on(3), latency=0.005) as server:
        desk = Desk(tmp_path, server.url, timeout=0.3, retries=retries)

        async def begun_and_gone_on():
            async with desk.client() as client:
                hung = asyncio.ensure_future(client.ask(chat(3)))
                at = asyncio.get_running_loop().time()
                others = await asyncio.gather(*(client.ask(chat(number)) for number in range(10, 90)))
                assert not hung.done()
                (failed,) = await asyncio.gather(hung, return_exceptions=True)
                took = asyncio.get_running_loop().time() - at
                (again,) = await asyncio.gather(client.ask(chat(3)), return_exceptions=True)
                return others, failed, took, again

        others, failed, took, again = asyncio.run(begun_and_gone_on())
        assert {said(answer) for answer in others} == {"9"}
        assert (failed.reason, failed.by) == (f"no answer in time, {times} times", "server")
        assert times * LONGEST * 0.3 <= took < times * LONGEST * 0.3 + 3
        asked = 2 if retries == 0 else times  # where it was waited for twice, it is not sent once more
        assert isinstance(again, CallFailed)
        assert times_asked(server) == {3: asked, **dict.fromkeys(range(10, 90), 1)}
        spent = desk.ledger.spent()
        assert (spent.tokens, spent.unsettled) == (80 * 17 + asked * MOST, 0)


def test_answers_to_later_questions_are_no_sign_for_one_that_hangs(tmp_path):
    with ModelServer(hangs_on(0), latency=0.05) as server:
        desk = Desk(tmp_path, server.url, timeout=0.15, retries=0, in_flight=4)

        async def asked_until_it_ended():
            async with desk.client() as client:
                hung, *others = (asyncio.ensure_future(client.ask(chat(number))) for number in range(200))
                await asyncio.wait([hung])
                asked = len(server.asked)
                return asked, await asyncio.gather(*others), hung.exception()

        asked, others, failed = asyncio.run(asked_until_it_ended())
        assert isinstance(failed, CallFailed)
        assert 10 < asked < 200
        assert {said(answer) for answer in others} == {"9"}


# --- Nobody waits when the run is over ---


def test_a_server_that_stops_is_not_waited_for_as_long_as_one_that_is_slow(tmp_path):
    befalls = [Fault("slow", seconds=0.4), None, Fault("quota"), Fault("slow", seconds=60)]

    def script(asked, _):
        eventually(lambda: len(server.asked) == 4)
        return befalls[numbered(asked)]

    with ModelServer(script) as server:
        desk = Desk(tmp_path, server.url, timeout=1.0, in_flight=4)
        begun = time.monotonic()
        answers, _ = paced(desk, 30)
        assert time.monotonic() - begun < 4  # not ten time-outs
        assert Counter(type(answer) for answer in answers) == {dict: 2, ServerStops: 28}
        assert len(desk.files()) == 2
        assert desk.ledger.spent().unsettled == 0


def test_whoever_is_cancelled_does_not_wait(tmp_path):
    with ModelServer(Busy(60)) as server:
        desk = Desk(tmp_path, server.url, timeout=0.2)

        async def cancelled():
            async with desk.client() as client:
                tasks = [asyncio.ensure_future(client.ask(chat(number))) for number in range(40)]
                await asyncio.sleep(0.5)  # they are late by now
                for task in tasks:
                    task.cancel()
                return await asyncio.gather(*tasks, return_exceptions=True)

        begun = time.monotonic()
        assert {type(each) for each in asyncio.run(cancelled())} == {asyncio.CancelledError}
        assert time.monotonic() - begun < 1.5
        assert set(times_asked(server).values()) == {1}
        assert 8 < len(server.asked) <= 16
        assert desk.ledger.spent().unsettled == 0


# --- Keys ---


def test_what_is_kept_does_not_hang_on_the_pace(tmp_path):
    with ModelServer(Busy(0.3)) as server:
        slow = Desk(tmp_path / "slow", server.url, timeout=0.1, in_flight=5)
        paced(slow, 10)
        quick = Desk(tmp_path / "quick", server.url, timeout=20.0, in_flight=3)
        paced(quick, 10)
        assert [file.name for file in slow.files()] == [file.name for file in quick.files()]
        server.forget()
        paced(Desk(tmp_path / "slow", server.url, timeout=30.0, in_flight=1), 10)
        assert not server.asked
    assert "in_flight" not in json.dumps(slow.cache.get(chat(3).key(slow.reach.server)))


# --- Slots ---


class Room:
    """People who come to slots, stay inside until they are told to leave, and give up while they wait."""

    def __init__(self, most):
        self.slots, self.people, self.inside = Slots(most), {}, []  # people: what tells them -> who
        self.halve, self.grow = self.slots.halve, self.slots.grow

    async def _stays(self, told):
        async with self.slots:
            self.inside.append(told)
            await told.wait()
            self.inside.remove(told)

    def come(self):
        told = asyncio.Event()
        self.people[told] = asyncio.ensure_future(self._stays(told))

    def leave(self):
        for told in self.inside[:1]:
            told.set()

    def give_up(self):
        for told in [each for each in self.people if each not in self.inside][:1]:
            self.people.pop(told).cancel()

    async def settle(self):
        for _ in range(30):
            await asyncio.sleep(0)
        self.people = {told: who for told, who in self.people.items() if not who.done()}


STEPS = st.lists(st.sampled_from(["halve", "grow", "come", "come", "leave", "give_up"]), max_size=40)


@given(st.integers(1, 9), STEPS)
def test_as_many_are_inside_as_may_be(most, steps):
    """However it is halved and grows, and whoever leaves or gives up waiting."""

    async def all_of_it():
        room = Room(most)
        for step in steps:
            getattr(room, step)()
            stayed = len([told for told in room.inside if not told.is_set()])
            await room.settle()
            assert 1 <= room.slots.now <= most
            assert len(room.inside) == max(stayed, min(len(room.people), room.slots.now))
        for _ in range(most + 1):
            room.come()
        while room.people:
            await room.settle()
            assert room.inside
            room.leave()
            await room.settle()

    asyncio.run(all_of_it())

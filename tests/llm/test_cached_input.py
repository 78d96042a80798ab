"""What a server reads from its cache has a price of its own, in the book and against the caps."""

import multiprocessing
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.errors import Paused
from sparse_coding.llm.ledger import SLACK, Ledger, Limits, Price
from sparse_coding.llm.reaching import ledger_of
from sparse_coding.llm.usage import Used, used
from sparse_coding.settings.params import Connection
from tests.llm.asking import Desk, answer_of, chat, raw_server, reply
from tests.model_server import ModelServer

FORK = multiprocessing.get_context("fork")
CHEAP, DEAR = Price(2.0, 8.0, 0.5), Price(2.0, 8.0, 3.0)
READ, WRITTEN = 100, 10


def usage(**fields):
    return {"prompt_tokens": READ, "completion_tokens": WRITTEN, **fields}


USAGES = [
    ({"prompt_tokens_details": {"cached_tokens": 60}}, 60), ({"prompt_cache_hit_tokens": 60}, 60),
    ({"cache_read_input_tokens": 60}, 60), ({"prompt_tokens_details": {"cached_tokens": READ}}, READ),
    ({"prompt_tokens_details": {"cached_tokens": 0}}, 0), ({}, None), ({"prompt_tokens_details": None}, None),
    ({"prompt_tokens_details": {}}, None), ({"prompt_tokens_details": 60}, None),
    ({"cache_read_input_tokens": READ + 1}, None), ({"cache_read_input_tokens": -1}, None),
    ({"cache_read_input_tokens": True}, None), ({"prompt_cache_hit_tokens": "60"}, None),
    ({"prompt_cache_hit_tokens": 6.0}, None), ({"prompt_tokens_details": {"cached_tokens": [60]}}, None),
    ({"prompt_tokens_details": {"cached_tokens": 10**30}, "prompt_cache_hit_tokens": 7}, 7),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "cached"), USAGES)
@pytest.mark.parametrize("price", [CHEAP, DEAR, Price(2.0, 8.0)], ids=str)
def test_what_an_answer_says_is_booked(tmp_path, fields, cached, price):
    with raw_server(reply({**answer_of("9"), "usage": usage(**fields)})) as server:
        desk = Desk(tmp_path, server.url, prices={"m": price})
        desk.ask(chat())
    spent = desk.ledger.spent()
    assert (spent.prompt, spent.completion) == (READ, WRITTEN)
    if price.cached is None:
        owed = 2.0 * READ + 8.0 * WRITTEN
    elif cached is None:  # not told: the dearer of both
        owed = max(2.0, price.cached) * READ + 8.0 * WRITTEN
    else:
        owed = 2.0 * (READ - cached) + price.cached * cached + 8.0 * WRITTEN
    assert spent.cost == pytest.approx(owed / 1e6)
    with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
        assert file.execute("select cached from calls").fetchall() == [(cached,)]


@pytest.mark.parametrize("price", [CHEAP, DEAR], ids=str)
def test_a_call_without_usage_stays_at_the_dearer_price(tmp_path, price):
    with raw_server(reply(answer_of("9"))) as server:
        desk = Desk(tmp_path, server.url, prices={"m": price})
        desk.ask(chat())
    dearer = max(price.prompt, price.cached or 0)
    assert desk.ledger.spent().cost == pytest.approx((dearer * chat().most_prompt_tokens + 8.0 * 50) / 1e6)


def test_a_cap_holds_where_the_cache_is_dearer(tmp_path):
    with ModelServer() as server:
        room = DEAR.of(chat().most_prompt_tokens, 50)
        assert room > Price(2.0, 8.0).of(chat().most_prompt_tokens, 50)
        desk = Desk(tmp_path / "less", server.url, Limits(cost=0.99 * room), prices={"m": DEAR})
        assert isinstance(desk.ask(chat())[0], Paused)
        assert not server.asked
        assert isinstance(Desk(tmp_path, server.url, Limits(cost=room), prices={"m": DEAR}).ask(chat())[0], dict)


PRICES = {"none": Price(2.0, 8.0), "cheap": CHEAP, "dear": DEAR, "free": Price(1e4, 1e5, 0.0)}
COUNT = st.integers(0, 10**6)
CALL = st.tuples(st.sampled_from([*PRICES, "unknown"]), COUNT, COUNT, st.floats(0, 1), st.floats(0, 1),
                 st.none() | st.floats(0, 1), st.booleans())  # fmt: skip


def owed(model, prompt, completion, cached):
    """USD, summed up in full; without a count of what was cached, at the dearer price."""
    price = PRICES.get(model, Price())
    each = price.prompt if price.cached is None else price.cached
    read = max(price.prompt, each) * prompt if cached is None else price.prompt * (prompt - cached) + each * cached
    return (read + price.completion * completion) / 1e6


@settings(max_examples=30)
@given(st.lists(CALL, max_size=12), st.none() | st.floats(0, 50))
def test_the_book_is_a_plain_sum_and_nothing_costs_more_than_was_reserved(calls, most):
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "l", Limits(cost=most), PRICES)
        plain = 0.0
        for model, prompt, completion, read, wrote, share, settles in calls:
            reserved = owed(model, prompt, completion, None)
            call = ledger.reserve(model, prompt, completion)
            assert (call is not None) == (most is None or plain + reserved <= most + SLACK)
            if call is None:
                continue
            cost = reserved
            assert ledger.spent().cost == pytest.approx(plain + reserved)
            if settles:
                told = int(read * prompt), int(wrote * completion)
                cached = None if share is None else int(share * told[0])
                ledger.settle(call, model, *told, cached)
                cost = owed(model, *told, cached)
                assert cost <= reserved + SLACK
            plain += cost
            assert ledger.spent().cost == pytest.approx(plain, abs=1e-9)
            assert most is None or ledger.spent().cost <= most + SLACK


# --- Books of earlier versions ---

OLDER = """
create table calls (
    id integer primary key, model text not null, prompt integer not null, completion integer not null,
    cost real not null, settled integer not null);
create table sums (requests integer, prompt integer, completion integer, cost real, unsettled integer);
insert into sums values (0, 0, 0, 0.0, 0);
create trigger entered after insert on calls begin
    update sums set requests = requests + 1, prompt = prompt + new.prompt, completion = completion + new.completion,
        cost = cost + new.cost, unsettled = unsettled + not new.settled;
end;
create trigger corrected after update on calls begin
    update sums set prompt = prompt + new.prompt - old.prompt, completion = completion + new.completion
        - old.completion, cost = cost + new.cost - old.cost, unsettled = unsettled + old.settled - new.settled;
end;
"""
ENTERS = "insert into calls values (null, 'm', 100, 10, 0.5, 0)"  # as earlier versions wrote it
CORRECTS = "update calls set prompt = 50, completion = 5, cost = 0.25, settled = 1 where id = 1"


def older(path):
    file = sqlite3.connect(path, isolation_level=None)
    file.executescript(OLDER)
    file.execute(ENTERS)
    return file


def test_an_older_book_goes_on(tmp_path):
    older(tmp_path / "l").close()
    ledger = Ledger(tmp_path / "l", Limits(cost=0.6), {"m": CHEAP})
    assert (ledger.spent().requests, ledger.spent().tokens, ledger.spent().unsettled) == (1, 110, 1)
    ledger.settle(1, "m", 100, 10, 60)
    call = ledger.reserve("m", 100, 10)
    assert call == 2
    ledger.settle(call, "m", 90, 9, 80)
    assert ledger.spent().cost == pytest.approx(CHEAP.of(100, 10, 60) + CHEAP.of(90, 9, 80))
    again = Ledger(tmp_path / "l", Limits(), {})
    assert again.spent() == ledger.spent()


def test_an_earlier_version_cannot_enter_a_call_and_spoils_nothing(tmp_path):
    earlier = older(tmp_path / "l")  # a run of it, under way
    ledger = Ledger(tmp_path / "l", Limits(), {"m": CHEAP})
    earlier.execute(CORRECTS)  # what it had under way is settled
    assert (ledger.spent().cost, ledger.spent().unsettled) == (0.25, 0)
    with pytest.raises(sqlite3.OperationalError, match="7 columns but 6 values"):
        earlier.execute(ENTERS)
    assert ledger.spent().requests == 1
    assert ledger.reserve("m", 1, 1) == 2


def _opens(path, start):
    start.wait()
    Ledger(path, Limits(), {}).reserve("m", 1, 1)


def test_several_processes_may_open_an_older_book_at_once(tmp_path):
    older(tmp_path / "l").close()
    start = FORK.Event()
    workers = [FORK.Process(target=_opens, args=(tmp_path / "l", start)) for _ in range(6)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert Ledger(tmp_path / "l", Limits(), {}).spent().requests == 7


def test_the_price_of_the_settings_is_that_of_the_book(tmp_path):
    prices = {"m": {"prompt": 2, "completion": 8, "cached": 0.5}, "plain": {"prompt": 1}}
    ledger = ledger_of(Connection.model_validate({"max_requests": 1, "prices": prices}), tmp_path / "l")
    assert (ledger.price("m"), ledger.price("plain")) == (CHEAP, Price(1.0, 0.0, None))


def test_used_is_a_count_or_nothing():
    assert used({"usage": usage(prompt_cache_hit_tokens=3)}) == Used(READ, WRITTEN, 3)
    assert used({"usage": {"prompt_tokens": 1}}) is None

"""Sums that never go over a limit."""

import multiprocessing
import os
import signal
import sqlite3
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.errors import BadInput
from sparse_coding.llm.ledger import SLACK, Ledger, Limits, Price
from tests.llm.asking import eventually

FORK = multiprocessing.get_context("fork")
PRICES = {"cheap": Price(0.1, 0.3), "dear": Price(1e5, 7e5)}
COUNT = st.integers(0, 60)
RESERVE = st.tuples(st.just("reserve"), st.sampled_from(["cheap", "dear", "unknown"]), COUNT, COUNT)
SETTLE = st.tuples(st.just("settle"), st.integers(0, 30), st.floats(0, 1), st.floats(0, 1))
REOPEN = st.tuples(st.just("reopen"), st.none(), st.none(), st.none())


def maybe(values):
    return st.none() | values


@settings(max_examples=20)
@given(
    st.lists(RESERVE | SETTLE | REOPEN, max_size=16),
    maybe(st.floats(0, 60)), maybe(st.integers(0, 600)), maybe(st.integers(0, 12)),
)  # fmt: skip
def test_no_sequence_goes_over_a_limit(operations, cost, tokens, requests):
    limits = Limits(cost, tokens, requests)
    rows: list[list] = []  # model, prompt, completion, settled; the plain account
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger", limits, PRICES)

        def owed(extra=()):
            usd = sum(PRICES.get(m, Price()).prompt * p + PRICES.get(m, Price()).completion * c
                      for m, p, c, *_ in [*rows, *extra]) / 1e6  # fmt: skip
            return usd, sum(p + c for _, p, c, *_ in [*rows, *extra]), len(rows) + len(extra)

        def fits(sums):
            most = (cost, tokens, requests)
            return all(limit is None or it <= limit + SLACK for it, limit in zip(sums, most, strict=True))

        for kind, *what in operations:
            if kind == "reserve":
                row = (*what,)
                call = ledger.reserve(*what)
                assert (call is not None) == fits(owed([row]))
                if call is not None:
                    assert call == len(rows) + 1
                    rows.append([*what, False])
            elif kind == "settle" and rows:
                place, prompt, completion = what
                row = rows[place % len(rows)]
                if not row[3]:
                    row[1:] = [int(row[1] * prompt), int(row[2] * completion), True]
                    ledger.settle(place % len(rows) + 1, *row[:3])
            elif kind == "reopen":
                ledger = Ledger(Path(folder) / "ledger", limits, PRICES)
            spent = ledger.spent()
            assert (spent.cost, spent.tokens, spent.requests) == pytest.approx(owed(), abs=1e-9)
            assert spent.unsettled == sum(not row[3] for row in rows)
            assert fits((spent.cost, spent.tokens, spent.requests))


def _reserve_all(path, limits, settles, start):
    ledger = Ledger(path, limits, PRICES)
    start.wait()
    while (call := ledger.reserve("dear", 3, 2)) is not None:
        if settles:
            ledger.settle(call, "dear", 2, 2)


def _begin(path, start):
    start.wait()
    Ledger(path, Limits(), {}).reserve("m", 1, 1)


def test_several_processes_may_begin_it_at_once(tmp_path):
    for number in range(5):
        start = FORK.Event()
        path = tmp_path / str(number)
        workers = [FORK.Process(target=_begin, args=(path, start)) for _ in range(6)]
        for worker in workers:
            worker.start()
        start.set()
        for worker in workers:
            worker.join(60)
        assert [worker.exitcode for worker in workers] == [0] * 6
        assert Ledger(path, Limits(), {}).spent().requests == 6


def test_a_file_that_is_no_ledger_says_so(tmp_path):
    (tmp_path / "l").write_text("something else, and long enough to be looked at by a database " * 20)
    with pytest.raises(BadInput, match=r"/l: found file is not a database; wanted the book of what was spent"):
        Ledger(tmp_path / "l", Limits(), {})


LIMITS = [Limits(requests=31), Limits(tokens=124), Limits(cost=52.0), Limits(50.0, 150, 28)]


@pytest.mark.parametrize("settles", [False, True])
@pytest.mark.parametrize("limits", LIMITS, ids=str)
def test_several_processes_at_once(tmp_path, limits, settles):
    start = FORK.Event()
    workers = [FORK.Process(target=_reserve_all, args=(tmp_path / "l", limits, settles, start)) for _ in range(4)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0] * 4
    ledger = Ledger(tmp_path / "l", limits, PRICES)
    spent = ledger.spent()
    assert spent.requests <= (limits.requests or 10**9)
    assert spent.tokens <= (limits.tokens or 10**9)
    assert spent.cost <= (limits.cost or 1e9) + SLACK
    assert ledger.reserve("dear", 3, 2) is None  # nothing that fits was left
    each = 4 if settles else 5
    most = {"requests": limits.requests, "tokens": limits.tokens, "cost": limits.cost}
    left = [most["requests"] and most["requests"] - spent.requests < 1,
            most["tokens"] and most["tokens"] - spent.tokens < 5,
            most["cost"] and most["cost"] - spent.cost < Price(1e5, 7e5).of(3, 2)]  # fmt: skip
    assert any(left)
    assert spent.tokens == each * spent.requests


def _killed(path):
    Ledger(path, Limits(tokens=100), {}).reserve("m", 60, 10)
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_open_call_of_a_killed_process_counts_at_its_most(tmp_path):
    process = FORK.Process(target=_killed, args=(tmp_path / "l",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    ledger = Ledger(tmp_path / "l", Limits(tokens=100), {})
    spent = ledger.spent()
    assert (spent.requests, spent.tokens, spent.unsettled) == (1, 70, 1)
    assert ledger.reserve("m", 31, 0) is None
    assert ledger.reserve("m", 20, 10) is not None


def _killed_in_a_transaction(path):
    file = sqlite3.connect(path, isolation_level=None)
    file.execute("begin immediate")
    file.execute("insert into calls values (null, 'm', 99, 99, 0, 0, null)")
    Path(f"{path}.begun").touch()
    signal.pause()


def test_a_kill_within_a_transaction_locks_nobody_out(tmp_path):
    ledger = Ledger(tmp_path / "l", Limits(requests=1), {})
    process = FORK.Process(target=_killed_in_a_transaction, args=(tmp_path / "l",))
    process.start()
    eventually((tmp_path / "l.begun").exists)
    process.kill()
    process.join()
    assert ledger.reserve("m", 1, 1) is not None


@given(st.integers(1, 9), st.sampled_from([0.1, 0.15, 0.6, 2.5, 10.0, 1 / 3]), st.integers(1, 10**6))
@settings(max_examples=15)
def test_rounding_of_usd_loses_no_call_and_gains_none(calls, price, tokens):
    prices = {"m": Price(price, 0)}
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "l", Limits(cost=calls * tokens * price / 1e6), prices)
        fitting = 0
        while fitting <= calls and ledger.reserve("m", tokens, 0) is not None:
            fitting += 1
    # below the slack a call is as good as free
    assert fitting == calls or tokens * price / 1e6 <= SLACK


def test_prices(tmp_path):
    ledger = Ledger(tmp_path / "deep" / "er" / "l", Limits(cost=0.0), {"m": Price(1.0, 2.0)})
    assert ledger.price("m").of(1_000_000, 500_000) == 2.0
    assert ledger.reserve("m", 1, 0) is None
    assert ledger.reserve("unknown", 10**9, 10**9) is not None
    assert ledger.spent().cost == 0
    assert str(ledger.spent()) == "1 requests, 2,000,000,000 tokens, 0.0000 USD"

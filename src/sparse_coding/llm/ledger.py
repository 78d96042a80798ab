"""What was spent, and what may be: a line a call in a small database, written before the call is sent.

A call is entered at the most that it can cost and corrected when its answer tells. One that was under way when the
process was killed stays at the most: the server may have charged for it.
"""

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sparse_coding.errors import BadInput

PATIENCE = 60.0  # seconds to wait for others
SLACK = 1e-9  # USD; sums of prices round

_TABLES = """
create table if not exists calls (
    id integer primary key, model text not null, prompt integer not null, completion integer not null,
    cost real not null, settled integer not null);
create table if not exists sums (requests integer, prompt integer, completion integer, cost real, unsettled integer);
insert into sums select 0, 0, 0, 0.0, 0 where not exists (select * from sums);
create trigger if not exists entered after insert on calls begin
    update sums set requests = requests + 1, prompt = prompt + new.prompt, completion = completion + new.completion,
        cost = cost + new.cost, unsettled = unsettled + not new.settled;
end;
create trigger if not exists corrected after update on calls begin
    update sums set prompt = prompt + new.prompt - old.prompt, completion = completion + new.completion
        - old.completion, cost = cost + new.cost - old.cost, unsettled = unsettled + old.settled - new.settled;
end;
"""
_ENTERED = "model, prompt, completion, cost, settled"  # by name: later versions may have more columns
_CORRECTED = "prompt = ?, completion = ?, cached = ?, cost = ?, settled = 1"


@dataclass(frozen=True)
class Price:
    """USD for a million tokens. cached: of what the server reads from its cache; None: as `prompt`."""

    prompt: float = 0.0
    completion: float = 0.0
    cached: float | None = None

    def of(self, prompt: int, completion: int, cached: int | None = None) -> float:
        """USD for so many tokens. cached: of the prompt, those in the cache; None: as many as cost most."""
        less = self.prompt if self.cached is None else self.cached
        if cached is None:
            cached = prompt if less > self.prompt else 0
        return (self.prompt * (prompt - cached) + less * cached + self.completion * completion) / 1e6


@dataclass(frozen=True)
class Limits:
    """The most of each; None: no limit."""

    cost: float | None = None  # USD
    tokens: int | None = None
    requests: int | None = None


@dataclass(frozen=True)
class Spent:
    """All that is entered; `unsettled` of the requests have not been answered, and count at the most."""

    requests: int
    prompt: int
    completion: int
    cost: float
    unsettled: int

    @property
    def tokens(self) -> int:
        """Read and written."""
        return self.prompt + self.completion

    def __str__(self) -> str:
        return f"{self.requests:,} requests, {self.tokens:,} tokens, {self.cost:.4f} USD"


class Ledger:
    """The database in `path`; several processes may share it. It counts all that it ever saw, not one run."""

    def __init__(self, path: Path, limits: Limits, prices: Mapping[str, Price]) -> None:
        self.path, self.limits, self.prices = path, limits, prices
        path.parent.mkdir(parents=True, exist_ok=True)
        # One connection: what a call is entered with takes a thousandth of the time that a new one does. With a
        # write-ahead log a kill loses nothing, and a power cut at most the last lines.
        self._file = sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)
        try:
            _log_ahead(self._file)
            with self._file as file:
                file.executescript(f"begin immediate; {_TABLES} commit;")
            _add_cached(self._file)
        except sqlite3.DatabaseError as error:
            raise BadInput(path, str(error), "the book of what was spent; moved away, sums begin at 0") from None

    def reserve(self, model: str, prompt: int, completion: int) -> int | None:
        """Enter a call of at most so many tokens; its number, or None where it would go over a limit."""
        cost = self.price(model).of(prompt, completion)
        with self._file as file:
            file.execute("begin immediate")  # nobody enters anything between the sum and the line
            if self._over(_spent(file), prompt + completion, cost):
                return None
            values = (model, prompt, completion, cost)
            return file.execute(f"insert into calls ({_ENTERED}) values (?, ?, ?, ?, 0)", values).lastrowid

    def settle(self, call: int, model: str, prompt: int, completion: int, cached: int | None = None) -> None:
        """Correct a call to what it did use; cached: of the prompt, None where that is not known."""
        values = (prompt, completion, cached, self.price(model).of(prompt, completion, cached), call)
        with self._file as file:
            file.execute(f"update calls set {_CORRECTED} where id = ?", values)

    def spent(self) -> Spent:
        """All so far."""
        return _spent(self._file)

    def price(self, model: str) -> Price:
        """Of a model; nothing where none is known."""
        return self.prices.get(model, Price())

    def _over(self, spent: Spent, tokens: int, cost: float) -> bool:
        limits = self.limits
        return (
            (limits.requests is not None and spent.requests + 1 > limits.requests)
            or (limits.tokens is not None and spent.tokens + tokens > limits.tokens)
            or (limits.cost is not None and spent.cost + cost > limits.cost + SLACK)
        )


def _spent(file: sqlite3.Connection) -> Spent:
    return Spent(*file.execute("select * from sums").fetchone())


def _add_cached(file: sqlite3.Connection) -> None:
    """The column that books of earlier versions lack: of the prompt, how many tokens were in the server's cache."""
    with file:
        file.execute("begin immediate")  # or two would add it
        if "cached" not in {name for _, name, *_ in file.execute("pragma table_info(calls)")}:
            file.execute("alter table calls add column cached integer")


def _log_ahead(file: sqlite3.Connection) -> None:
    """Two that begin a database at the same time: SQLite does not wait where it changes the journal, so we do."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            file.execute("pragma journal_mode = wal")
            break
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
    file.execute("pragma synchronous = normal")

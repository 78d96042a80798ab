"""What is asked before a run, and how a run that cannot work ends."""

import asyncio
import json
import re
import socket
import time
from contextlib import closing

import numpy as np
import pytest

from sparse_coding.errors import BadInput
from sparse_coding.interp.cases import Feature, Fragments
from sparse_coding.interp.judge import checking
from sparse_coding.interp.judge.checking import Found, check
from sparse_coding.interp.judge.forecast import forecast
from sparse_coding.interp.judge.judges import panel
from sparse_coding.interp.judge.running import Running, Task
from sparse_coding.interp.panel import Panel
from sparse_coding.llm.cache import Cache
from sparse_coding.llm.client import Client
from sparse_coding.llm.ledger import Ledger
from sparse_coding.llm.reaching import ledger_of, reach_of
from tests.interp import asked
from tests.model_server import Fault, ModelServer
from tests.workspace import ROOT

FRAGMENTS, LENGTH = 120, 6
WORDS = [" a", " cat", " dog", " extraordinarily", *(f" {number:03}" for number in range(FRAGMENTS))]


class Run:
    """A panel and the tasks of a few features over texts of different length, with cache and ledger in a folder."""

    def __init__(self, folder, url: str, scorer: str = "simulation", features: int = 3, **settings) -> None:
        own = asked.settings(url, scorer, examples=6, **settings)
        self.llm, self.reach = own.llm, reach_of(own.llm)
        self.cache = Cache(folder / "cache")
        self.book: Ledger = ledger_of(own.llm.connection, folder / "ledger.sqlite")
        tokens = np.zeros((FRAGMENTS, LENGTH), np.int64)
        tokens[:30] = 3  # feature 0 fires here, and is the one with the longest questions
        tokens[30:60, 2], tokens[60:90, 2] = 1, 2
        tokens[:, 4] = 4 + np.arange(FRAGMENTS)  # no two are the same
        self.panel: Panel = panel(scorer, own.llm, ROOT / "prompts", Fragments(tokens, WORDS, 0), "nonzero")
        self.tasks = [self._task(feature) for feature in range(features)]

    def _task(self, feature: int) -> Task:
        active = np.zeros((FRAGMENTS, LENGTH), np.float32)
        active[feature * 30 : feature * 30 + 30, 2] = np.linspace(1, 2, 30)
        return Task("d", "plain", self.panel.judge.case(Feature(feature, active)))

    def check(self) -> Found:
        async def checked() -> Found:
            async with Client(self.reach, self.cache, self.book) as client:
                return await asyncio.wait_for(check(client, self.panel, self.tasks), 60)

        return asyncio.run(checked())

    def all(self) -> dict:
        async def run() -> dict:
            async with Client(self.reach, self.cache, self.book) as client:
                return (await Running(client, self.panel, self.tasks, lambda: None).all()).scores

        return asyncio.run(run())

    def forecast(self, found: Found | None = None):
        client = Client(self.reach, self.cache, self.book)
        known = client.known if found is None else found.known_before
        seen = None if found is None else found.bytes_per_token
        return forecast(self.panel, self.tasks, self.book.price, known, seen)


def longest(server, model: str) -> int:
    return max(len(json.dumps(each.body)) for each in server.asked if each.body["model"] == model)


@pytest.mark.parametrize("scorer", ["simulation", "detection"])
def test_a_check_asks_the_longest_questions_of_the_run_once(tmp_path, capsys, scorer):
    with ModelServer() as server:
        run = Run(tmp_path, server.url, scorer)
        before = run.forecast()
        found = run.check()
        checked = server.asked
        assert [each.body["model"] for each in checked] == ["explains", "judges"]  # one feature has both
        assert [each.path for each in server.looked] == ["/v1/models"]
        assert run.book.spent().requests == 3
        assert len(found.fresh) == 2
        assert run.forecast(found).calls == before.calls
        assert run.forecast(found).known == 0
        tokens = {each: 1 / rate for each, rate in found.bytes_per_token.items()}
        assert all(0.2 < rate < 0.25 for rate in tokens.values())  # this model has 4 bytes a token; quotes are escaped
        assert run.forecast(found).prompt < 0.8 * before.prompt

        again = run.check()
        assert (again.fresh, again.bytes_per_token) == (set(), found.bytes_per_token)
        assert len(server.asked) + len(server.looked) == 3
        run.all()
        bodies = [json.dumps(each.body) for each in server.asked]
        assert len(bodies) == len(set(bodies)) == before.calls  # all that was checked is of use
        assert [longest(server, model) for model in ("explains", "judges")] == [
            len(json.dumps(each.body)) for each in checked
        ]
    assert "warning" not in capsys.readouterr().out


def ends(run: Run) -> str:
    """The line with which it ends, in seconds."""
    began = time.monotonic()
    with pytest.raises(BadInput) as caught:
        run.check()
    assert time.monotonic() - began < 5
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{run.reach.base_url}: found ")
    return str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "no-such-host.invalid"])
def test_nobody_there_is_not_waited_for(tmp_path, host):
    with closing(socket.socket()) as taken:  # bound, and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        run = Run(tmp_path, f"http://{host.format(port=taken.getsockname()[1])}/v1")
        assert "no connection" in (said := ends(run))
    assert "is it up, and is autointerp.llm.connection.base_url right?" in said
    assert run.book.spent().tokens == 0


@pytest.mark.parametrize(
    ("kind", "said", "most"),
    [("key", "the key is not accepted", 1), ("model", "no such model", 1), ("quota", "quota is used up", 1),
     ("too_long", "a context of 8 tokens, where", 1),
     ("bad_request", "explains answers none of its questions (HTTP 400", 10)],
)  # fmt: skip
def test_what_cannot_be_answered_ends_a_run_at_once(tmp_path, kind, said, most):
    with ModelServer(lambda request, number: Fault(kind)) as server:
        assert said in ends(Run(tmp_path, server.url))
        assert len(server.asked) <= most
        assert not list((tmp_path / "cache").rglob("*.gz"))


def test_the_tokens_needed_and_those_of_the_server_are_named(tmp_path):
    def too_small(request, number):
        return Fault("too_long") if request.body["model"] == "judges" else None

    with ModelServer(too_small) as server:
        said = ends(Run(tmp_path, server.url))
    assert re.search(
        r"found a context of 8 tokens, where \d{3} are needed by the longest question to judges "
        r"\(HTTP 400: This model's maximum context length is 8.\)",
        said,
    )
    assert "dataset.fragment_tokens" in said


@pytest.mark.parametrize("text", ["Invalid model name passed in model=judges", "The model `judges` does not exist"])
def test_a_model_that_a_proxy_does_not_know_is_no_parameter_to_leave_out(tmp_path, monkeypatch, text):
    monkeypatch.setitem(__import__("tests.model_server").model_server.ERRORS, "bad_request", (400, "x", None, text))
    with ModelServer(lambda request, number: Fault("bad_request") if number else None) as server:
        assert f"no such model (HTTP 400: {text})" in ends(Run(tmp_path, server.url))
        assert len(server.asked) == 2


@pytest.mark.parametrize("simulator", ["per_token", "echo"])
def test_probabilities_that_scores_rest_on_are_missed_before_the_run(tmp_path, simulator):
    with ModelServer(ignores={"logprobs"}) as server:
        run = Run(tmp_path, server.url, simulator=simulator)
        assert f"no probabilities in an answer of judges, on which simulator: {simulator} rests" in ends(run)
        assert len(server.asked) == 2
        server.ignores = ()  # mended: the question is asked anew
        assert len(run.check().fresh) == 1
        assert len(server.asked) == 3


def test_digits_alone_are_enough_for_who_asks_for_no_more(tmp_path, capsys):
    with ModelServer(ignores={"logprobs"}) as server:
        Run(tmp_path / "digits", server.url, simulator="per_token", logprobs=False).check()
        assert "warning" not in capsys.readouterr().out
        Run(tmp_path / "chat", server.url).check()
        assert "no probabilities in an answer of judges: scores will be of what it writes" in capsys.readouterr().out


def test_what_a_run_can_live_with_is_said(tmp_path, capsys):
    manners = {"models": ["judges:latest", "x"], "prose": True, "ignores": {"response_format"}}
    with ModelServer(**manners) as server:
        Run(tmp_path, server.url).check()
    said = capsys.readouterr().out
    assert "explains is none of the models that it lists (judges:latest, x); another may answer" in said
    assert "judges is none" not in said
    assert "judges does not keep to the schema" in said


def test_one_question_may_be_refused_for_what_it_says(tmp_path):
    def faults(request, number):  # the first questions of each
        text = request.body["messages"][-1]["content"]
        listed = request.body["model"] == "judges"
        first.setdefault(request.body["model"], text)
        return Fault("bad_request") if first["judges" if listed else "explains"] == text else None

    first: dict[str, str] = {}
    with ModelServer(faults) as server:
        found = Run(tmp_path, server.url).check()
        assert len({json.dumps(each.body["messages"]) for each in server.asked}) == 4
        assert len(found.fresh) == 2


def test_a_server_that_is_starting_is_waited_for_and_that_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(checking, "SAID_AFTER", 0.05)
    with ModelServer([Fault("busy", retry_after=0.2)]) as server:
        assert Run(tmp_path, server.url).check().fresh
    assert "no answer of explains yet; waiting" in capsys.readouterr().out


def test_a_server_that_says_nothing_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(checking, "SAID_AFTER", 0.05)
    monkeypatch.setattr(checking, "PATIENCE", 0.1)
    with ModelServer(latency=2.0, models=()) as server:
        run = Run(tmp_path, server.url, connection={"max_tokens": 10**6, "timeout": 0.1, "retries": 50})
        said = ends(run)
    assert "explains" in said
    assert run.book.spent().requests < 10


def test_a_cap_is_the_runs_own_business(tmp_path):
    with ModelServer() as server:
        assert not Run(tmp_path, server.url, connection={"max_tokens": 100}).check().fresh
        assert not server.asked
        (tmp_path / "ledger.sqlite").unlink()
        Run(tmp_path, server.url, connection={"max_requests": 2}).check()
        assert (len(server.asked), len(server.looked)) == (1, 2)  # both are requests

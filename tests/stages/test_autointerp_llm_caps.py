"""What the stage with language models may spend: caps, calls side by side, kills in the middle."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from sparse_coding.errors import Paused
from tests.interp import asked
from tests.interp.site import DESCRIBED
from tests.model_server import ModelServer
from tests.stages.asked_rows import FEATURES, NULL, of, spent
from tests.workspace import ROOT

CAPS = [
    {"max_requests": 30},
    {"max_tokens": 20_000},
    {
        "max_cost": 0.02,
        "prices": {"explains": {"prompt": 1, "completion": 2}, "judges": {"prompt": 1, "completion": 1}},
    },
]


@pytest.mark.parametrize("cap", CAPS, ids=lambda cap: next(iter(cap)))
@pytest.mark.parametrize("in_flight", [1, 16])
def test_a_cap_is_never_crossed_and_the_run_goes_on_from_there(planted_site, tmp_path, faultless, cap, in_flight):
    with ModelServer(latency=0.01) as server:
        limited = asked.settings(server.url, null=NULL, connection={**cap, "in_flight": in_flight})
        with pytest.raises(Paused, match=r"a cap .* wanted more: raise max_cost, .* run the same command again"):
            asked.run(planted_site, tmp_path, limited)
        requests, tokens, cost = spent(tmp_path)
        assert len(server.asked) + len(server.looked) == requests > 10
        assert requests <= cap.get("max_requests", 10**9)
        assert tokens <= cap.get("max_tokens", 10**9)
        assert cost <= cap.get("max_cost", 10**9) + 1e-9
        assert not list((tmp_path / "output").glob("*"))
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, null=NULL))
        bodies = [json.dumps(request.body, sort_keys=True) for request in server.asked]
        assert len(bodies) == len(set(bodies)) == faultless[1]
    assert rows == faultless[0]


def test_partial_tables_have_equal_counts(planted_site, tmp_path):
    with ModelServer() as server:
        limited = {"max_requests": 60, "in_flight": 2}
        settings = asked.settings(server.url, described=DESCRIBED, partial=True, connection=limited)
        rows = asked.run(planted_site, tmp_path, settings)
    counts = [len(of(rows, described.name, "sampled")) for described in DESCRIBED]
    assert len(set(counts)) == 1
    assert 0 < counts[0] < FEATURES
    assert {row["wanted"] for row in rows} == {FEATURES}


def test_a_cap_that_allows_nothing_publishes_nothing_partial(planted_site, tmp_path):
    with ModelServer() as server, pytest.raises(Paused, match="before one feature of each dictionary was finished"):
        asked.run(planted_site, tmp_path, asked.settings(server.url, partial=True, connection={"max_tokens": 100}))
    assert not server.asked


def test_calls_side_by_side_and_no_more(planted_site, tmp_path):
    with ModelServer(latency=0.1) as server:
        asked.run(planted_site, tmp_path, asked.settings(server.url, connection={**asked.PLENTY, "in_flight": 7}))
        assert 4 <= server.most_at_once <= 7


def test_killed_in_the_middle_no_answered_call_is_repeated(planted_site, tmp_path, faultless):
    with ModelServer(latency=0.05) as server:
        settings = asked.settings(server.url, null=NULL, connection={**asked.PLENTY, "in_flight": 8})
        path = tmp_path / "settings.json"
        path.write_text(settings.model_copy(update={"llm": _with_cache(settings, tmp_path)}).model_dump_json())
        paths = {
            "activations": planted_site / "site.h5",
            "tokens": planted_site / "tokens.h5",
            "prompts": ROOT / "prompts",
            "ledger": tmp_path / "ledger.sqlite",
            "output": tmp_path / "output",
            "threads": 1,
        }
        line = [sys.executable, "-m", "sparse_coding", "autointerp_llm", "--settings", str(path), "--dictionaries",
                str(planted_site / f"{NULL}.safetensors")]  # fmt: skip
        line += [word for name, value in paths.items() for word in (f"--{name}", str(value))]
        process = subprocess.Popen(line, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, cwd=ROOT)
        deadline = time.monotonic() + 120
        while len(server.asked) < faultless[1] // 2 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.3)  # what the server has in hand
        answered = len(list((tmp_path / "cache").rglob("*.json.gz")))
        before = len(server.asked)
        with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
            open_calls = file.execute("select count(*), min(prompt) from calls where not settled").fetchone()
        assert 0 < answered <= before < faultless[1]
        assert 0 < open_calls[0] <= 8
        assert open_calls[1] > 1000  # at the most that they can cost
        rows = asked.run(planted_site, tmp_path, settings)
        assert len(server.asked) - before == faultless[1] - answered
    assert rows == faultless[0]


def _with_cache(settings, work):
    connection = settings.llm.connection.model_copy(update={"cache": str(work / "cache")})
    return settings.llm.model_copy(update={"connection": connection})

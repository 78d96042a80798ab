"""The stage with language models, through the real client, against a real server with a model that is known."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time

import numpy as np
import pytest

from sparse_coding.errors import BadInput, Paused
from sparse_coding.interp.fragments import choose_features
from tests.interp import asked, planted, site
from tests.interp.asked import SEED
from tests.interp.site import DESCRIBED, N_FEAT
from tests.llm.asking import answer_of, raw_server, reply
from tests.model_server import Fault, ModelServer
from tests.workspace import ROOT, content

LEARNED, RANDOM = DESCRIBED[:2], DESCRIBED[2]
NULL = LEARNED[0].name
FEATURES = 4
ALIVE = [feature for feature in choose_features(N_FEAT, FEATURES, SEED) if feature % 3 != 2]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return site.write(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def wide(inputs, tmp_path_factory):
    """Rows of all dictionaries."""
    with ModelServer() as server:
        settings = asked.settings(server.url, described=DESCRIBED, null=NULL)
        return asked.run(inputs, tmp_path_factory.mktemp("wide"), settings)


@pytest.fixture(scope="module")
def good(inputs, tmp_path_factory):
    """Rows and number of calls of a run without a fault."""
    with ModelServer() as server:
        rows = asked.run(inputs, tmp_path_factory.mktemp("good"), asked.settings(server.url, null=NULL))
        return rows, len(server.asked)


def of(rows, name, source, condition="plain"):
    return [row for row in rows if (row["name"], row["source"], row["condition"]) == (name, source, condition)]


def unlike(rows, *columns):
    """Rows without what hangs on the server's address."""
    return [{name: value for name, value in row.items() if name not in columns} for row in rows]


def test_what_follows_tokens_scores_one_and_the_null_nothing(wide):
    rows = wide
    for described in LEARNED:
        for source in ("logprob_ev", "sampled"):
            found = of(rows, described.name, source)
            assert [row["feature"] for row in found] == list(choose_features(N_FEAT, FEATURES, SEED))
            assert {row["feature"] for row in found if row["status"] == "ok"} == set(ALIVE)
            assert {row["status"] for row in found} == {"ok", "dead"}
            assert all(row["top_and_random"] > 0.99 for row in found if row["status"] == "ok")
            for row in found:
                word = planted.VOCABULARY[row["feature"]].strip()
                assert row["explanation"] == (f'words "{word}"' if row["status"] == "ok" else None)
    null = [row["top_and_random"] for row in of(rows, NULL, "sampled", "shuffled_null") if row["status"] == "ok"]
    assert len(null) == len(ALIVE)
    assert abs(np.mean(null)) < 0.1
    assert np.mean([row["top_and_random"] for row in of(rows, RANDOM.name, "sampled")]) < 0.8


def test_rows_say_who_said_what(wide):
    rows = wide
    about = {(row["scorer"], row["explainer"], row["judge"], row["simulator"], row["mode"]) for row in rows}
    assert about == {("simulation", "explains", "judges", "chat", "nonzero")}
    assert {row["wanted"] for row in rows} == {FEATURES}
    assert len({row["prompts"] for row in rows}) == 1


def test_a_rerun_sends_nothing(inputs, tmp_path):
    with ModelServer() as server:
        settings = asked.settings(server.url, null=NULL)
        first = asked.run(inputs, tmp_path, settings)
        bytes_of = {path.name: path.read_bytes() for path in (tmp_path / "output").iterdir()}
        server.forget()
        assert asked.run(inputs, tmp_path, settings) == first
        assert not server.asked
        assert bytes_of == {path.name: path.read_bytes() for path in (tmp_path / "output").iterdir()}


def test_more_features_ask_for_the_new_ones_only(inputs, tmp_path):
    with ModelServer() as server:
        fewer = asked.run(inputs, tmp_path, asked.settings(server.url, features=2))
        sent = len(server.asked)
        more = asked.run(inputs, tmp_path, asked.settings(server.url, features=4))
        keys = [json.dumps(request.body, sort_keys=True) for request in server.asked]
        assert len(set(keys)) == len(keys) > sent
    first = [row for row in unlike(more, "wanted") if row in unlike(fewer, "wanted")]
    assert len(first) == len(fewer)


def forecasts(said):
    """Calls in all, calls answered before, as the lines of the forecast have them."""
    return [(int(calls), int(known)) for calls, known in re.findall(r"(\d+) calls, of which (\d+) were", said)]


def test_the_forecast_knows_what_another_judge_or_scorer_has_to_be_asked(inputs, tmp_path, capsys):
    with ModelServer() as server:
        wanted = asked.settings(server.url)
        another = wanted.model_copy(update={"llm": wanted.llm.model_copy(update={"judge": "another"})})
        for settings in (wanted, wanted, another, asked.settings(server.url, "detection", examples=6)):
            before = len(server.asked)
            asked.run(inputs, tmp_path, settings)
            ((calls, known),) = forecasts(capsys.readouterr().out)
            assert calls - known == len(server.asked) - before
    assert known == len(ALIVE)  # explanations serve all judges


@pytest.mark.parametrize("in_flight", [1, 8])
def test_a_feature_that_has_failed_is_asked_about_no_further(inputs, tmp_path, in_flight):
    def script(request, number):
        last = request.body["messages"][-1]["content"]
        return Fault("malformed") if "Token: " in last and 'Before: ""' not in last else None

    with ModelServer(faults=script) as server:
        connection = {**asked.PLENTY, "in_flight": in_flight}
        settings = asked.settings(server.url, features=2, simulator="per_token", connection=connection)
        rows = asked.run(inputs, tmp_path, settings)
        assert len(server.asked) <= 2 * (1 + 1 + 2 * 2 * in_flight)
    assert {row["status"] for row in rows} == {"failed"}
    assert {row["reason"] for row in rows} == {"no digit: 'sorr'"}


ODD = [
    [1],
    {"content": [None]},
    {"content": 3},
    {"content": [{"token": "3", "top_logprobs": [None]}]},
    {"content": [{"token": "3", "top_logprobs": 7}]},
    {"content": [{"token": "3", "top_logprobs": [{"token": [1]}]}]},
]


@pytest.mark.parametrize("logprobs", ODD, ids=json.dumps)
def test_probabilities_of_any_shape_are_none_at_worst(inputs, tmp_path, logprobs):
    with raw_server(reply(answer_of("3", logprobs=logprobs)), keeps=True) as server:
        rows = asked.run(inputs, tmp_path, asked.settings(server.url, features=1, simulator="per_token"))
    assert {(row["source"], row["status"]) for row in rows} == {("sampled", "pred_constant"), ("logprob_ev", "failed")}


@pytest.mark.parametrize("simulator", ["per_token", "echo"])
def test_other_ways_to_simulate(inputs, tmp_path, simulator):
    with ModelServer() as server:
        settings = asked.settings(server.url, features=1, simulator=simulator)
        rows = asked.run(inputs, tmp_path, settings)
        calls = 10 * 64 if simulator == "per_token" else 10
        alive = {row["feature"] for row in rows if row["status"] == "ok"}
        assert len(server.asked) == len(alive) * (1 + calls)
    sources = {"echo"} if simulator == "echo" else {"logprob_ev", "sampled"}
    assert {row["source"] for row in rows} == sources
    assert {row["simulator"] for row in rows} == {simulator}
    assert all(row["top_and_random"] > 0.99 for row in rows if row["status"] == "ok")


def test_the_tokens_of_the_judge_need_not_be_those_of_the_model(inputs, tmp_path):
    with ModelServer(merged_tab=True) as server:
        settings = asked.settings(server.url, features=3, simulator="echo")
        rows = asked.run(inputs, tmp_path, settings)
    assert all(row["top_and_random"] > 0.99 for row in rows if row["status"] == "ok")


@pytest.mark.parametrize("scorer", ["detection", "fuzzing"])
def test_texts_are_told_apart(inputs, tmp_path, scorer):
    digits = {planted.VOCABULARY.index(text) for text in planted.DIGITS}  # no word of the text holds one by chance
    with ModelServer() as server:
        settings = asked.settings(server.url, scorer, features=N_FEAT, examples=6, per_call=5)
        rows = asked.run(inputs, tmp_path, settings)
        lists = [request.body["messages"][-1]["content"] for request in server.asked]
    assert all(text.count("\n") <= 6 for text in lists if "Examples:" in text)
    assert {row["source"] for row in rows} == {"answers"}
    assert all(row["top_and_random"] is None for row in rows)
    scored = [row for row in rows if row["status"] == "ok"]
    assert len(scored) > 5
    for row in scored:
        assert row["balanced_accuracy"] == (row["sensitivity"] + row["specificity"]) / 2
        assert row["sensitivity"] > 0.8  # two such tokens in a row are one piece, which is no word of its own
        if scorer == "fuzzing":
            assert row["specificity"] == 1
    assert not digits & {row["feature"] for row in scored} or scorer == "detection"


def test_examples_are_disjoint_from_what_the_explainer_saw(inputs, tmp_path):
    with ModelServer() as server:
        asked.run(inputs, tmp_path, asked.settings(server.url, "detection", features=3, examples=6))
        texts = [request.body["messages"][-1]["content"] for request in server.asked]
    explained = {text for text in texts if "<start>" in text}
    shown = {"".join(json.loads(line.split("\t")[0]) for line in part.split("<end>")[0].strip().split("\n"))
             for text in explained for part in text.split("<start>")[1:]}  # fmt: skip
    judged = {json.loads(line.split(": ", 1)[1]) for text in texts if "Examples:" in text
              for line in text.split("Examples:\n")[1].split("\n")}  # fmt: skip
    assert len(shown) == 5 * len(explained)
    # Fragments are different texts; one feature's may be another's, so this holds for the features of one run each.
    assert len(explained) > 1 or not shown & judged


# --- Caps ---


def spent(work):
    with sqlite3.connect(work / "ledger.sqlite") as file:
        return file.execute("select count(*), sum(prompt + completion), sum(cost) from calls").fetchone()


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
def test_a_cap_is_never_crossed_and_the_run_goes_on_from_there(inputs, tmp_path, good, cap, in_flight):
    with ModelServer(latency=0.01) as server:
        limited = asked.settings(server.url, null=NULL, connection={**cap, "in_flight": in_flight})
        with pytest.raises(Paused, match=r"a cap .* wanted more: raise max_cost, .* run the same command again"):
            asked.run(inputs, tmp_path, limited)
        requests, tokens, cost = spent(tmp_path)
        assert len(server.asked) == requests > 10
        assert requests <= cap.get("max_requests", 10**9)
        assert tokens <= cap.get("max_tokens", 10**9)
        assert cost <= cap.get("max_cost", 10**9) + 1e-9
        assert not list((tmp_path / "output").glob("*"))
        rows = asked.run(inputs, tmp_path, asked.settings(server.url, null=NULL))
        bodies = [json.dumps(request.body, sort_keys=True) for request in server.asked]
        assert len(bodies) == len(set(bodies)) == good[1]
    assert rows == good[0]


def test_partial_tables_have_equal_counts(inputs, tmp_path):
    with ModelServer() as server:
        limited = {"max_requests": 60, "in_flight": 2}
        settings = asked.settings(server.url, described=DESCRIBED, partial=True, connection=limited)
        rows = asked.run(inputs, tmp_path, settings)
    counts = [len(of(rows, described.name, "sampled")) for described in DESCRIBED]
    assert len(set(counts)) == 1
    assert 0 < counts[0] < FEATURES
    assert {row["wanted"] for row in rows} == {FEATURES}


def test_a_cap_that_allows_nothing_publishes_nothing_partial(inputs, tmp_path):
    with ModelServer() as server, pytest.raises(Paused, match="before one feature of each dictionary was finished"):
        asked.run(inputs, tmp_path, asked.settings(server.url, partial=True, connection={"max_tokens": 100}))
    assert not server.asked


def test_calls_side_by_side_and_no_more(inputs, tmp_path):
    with ModelServer(latency=0.1) as server:
        asked.run(inputs, tmp_path, asked.settings(server.url, connection={**asked.PLENTY, "in_flight": 7}))
        assert 4 <= server.most_at_once <= 7


# --- Faults ---

PASSING = [
    Fault("rate"),
    Fault("rate", retry_after=0.05),
    Fault("rate", retry_after_ms=30),
    Fault("server"),
    Fault("busy"),
    Fault("gateway"),
    Fault("drop"),
    Fault("half"),
    Fault("undecodable"),
    Fault("slow", seconds=1.5),
]
UNUSABLE = ["no_choices", "null", "malformed", "truncated", "empty", "refusal", "wrong_count", "extra", "out_of_range"]


def every(fault, times=1, each=7):
    """The fault befalls every seventh question, the first times that it is asked."""
    seen: dict[str, int] = {}

    def script(request, number):
        key = json.dumps([request.body.get("messages"), request.body.get("seed")])
        first = key not in seen
        seen[key] = seen.get(key, 0) + 1
        if first and len(seen) % each != 1:
            seen[key] = times + 1
        return fault if seen[key] <= times else None

    return script


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind}{fault.headers}")
def test_faults_that_pass_change_nothing(inputs, tmp_path, good, fault):
    with ModelServer(faults=every(fault)) as server:
        settings = asked.settings(server.url, null=NULL, connection={**asked.PLENTY, "timeout": 1.0})
        assert asked.run(inputs, tmp_path, settings) == good[0]
        assert len(server.asked) > good[1]


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_answer_is_asked_for_once_more(inputs, tmp_path, good, kind):
    def script(request, number):
        listed = "Tokens:" in request.body["messages"][-1]["content"]
        return Fault(kind) if listed and request.body["seed"] == SEED and number % 5 == 0 else None

    with ModelServer(faults=script) as server:
        assert asked.run(inputs, tmp_path, asked.settings(server.url, null=NULL)) == good[0]
        seeds = [request.body["seed"] for request in server.asked]
        assert seeds.count(SEED + 1) == len(seeds) - good[1] > 5


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("refusal", "refused"), ("refusal_text", "refused"), ("empty", "empty answer"), ("null", "empty answer"),
     ("no_choices", "no choices"), ("too_long", "HTTP 400")],
)  # fmt: skip
def test_a_feature_without_an_explanation_is_failed_and_has_no_score(inputs, tmp_path, kind, reason):
    word = planted.VOCABULARY[ALIVE[0]].strip()

    def script(request, number):
        text = request.body["messages"][-1]["content"]
        return Fault(kind) if "<start>" in text and f'" {word}"\t10' in text else None

    with ModelServer(faults=script) as server:
        rows = asked.run(inputs, tmp_path, asked.settings(server.url, described=LEARNED))
    for source in ("logprob_ev", "sampled"):
        failed = [row for row in rows if row["status"] == "failed" and row["source"] == source]
        assert [row["feature"] for row in failed] == [ALIVE[0]] * 2
        for row in failed:
            assert reason in row["reason"]
            assert row["top"] is row["random"] is row["top_and_random"] is None


def test_zeros_are_a_constant_prediction_and_say_so(inputs, tmp_path):
    def script(request, number):
        return Fault("zeros") if "Tokens:" in request.body["messages"][-1]["content"] else None

    with ModelServer(faults=script) as server:
        rows = asked.run(inputs, tmp_path, asked.settings(server.url, logprobs=False))
    scored = [row for row in rows if row["status"] != "dead"]
    assert {(row["status"], row["top_and_random"]) for row in scored} == {("pred_constant", 0.0)}


STOPS = [("quota", "quota"), ("key", "the key is not accepted"), ("forbidden", "access"), ("model", "no such model")]


@pytest.mark.parametrize(("kind", "said"), STOPS)
def test_what_will_not_pass_ends_the_run_at_once(inputs, tmp_path, monkeypatch, capfd, kind, said):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-1234567890")
    with ModelServer(faults=lambda request, number: Fault(kind) if number >= 12 else None) as server:
        reached = {**asked.PLENTY, "in_flight": 4, "key_variable": "OPENAI_API_KEY"}
        with pytest.raises(BadInput, match=f"{said}.*same command again") as error:
            asked.run(inputs, tmp_path, asked.settings(server.url, connection=reached))
        assert len(server.asked) <= 12 + 4
        assert {request.authorization for request in server.asked} == {"Bearer sk-very-secret-1234567890"}
    assert not isinstance(error.value, Paused)
    said = str(error.value) + "".join(capfd.readouterr())
    assert "sk-very" not in said
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"sk-very" not in content(path)


def test_a_server_that_never_answers_ends_the_run(inputs, tmp_path):
    with ModelServer(faults=lambda request, number: Fault("server")) as server:
        settings = asked.settings(server.url, connection={**asked.PLENTY, "retries": 1})
        with pytest.raises(BadInput, match=r"without an answer|no answer for .* features \(HTTP 500"):
            asked.run(inputs, tmp_path, settings)
        assert len(server.asked) < 100
    assert not list((tmp_path / "output").glob("*"))


def test_nobody_there(inputs, tmp_path):
    with ModelServer() as server:
        url = server.url
    settings = asked.settings(url, connection={**asked.PLENTY, "retries": 1})
    with pytest.raises(BadInput, match="no connection"):
        asked.run(inputs, tmp_path, settings)
    assert spent(tmp_path)[1] == 0


def test_a_model_that_talks_nonsense_ends_the_run(inputs, tmp_path):
    with ModelServer(faults=lambda request, number: Fault("malformed") if number else None) as server:
        settings = asked.settings(server.url, features=N_FEAT)
        with pytest.raises(BadInput, match="10 features in a row without an answer that can be used"):
            asked.run(inputs, tmp_path, settings)
        assert len(server.asked) < 12 * 25


def test_a_server_that_needs_no_key_gets_none_of_ours(inputs, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-somebody-else")
    with ModelServer() as server:
        asked.run(inputs, tmp_path, asked.settings(server.url, features=2))
        assert not any("sk-for" in (request.authorization or "") for request in server.asked)


def test_no_key_for_a_server_that_needs_one(inputs, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(BadInput, match="environment variable OPENAI_API_KEY: found nothing"):
        asked.run(inputs, tmp_path, asked.settings("https://api.openai.com/v1"))


# --- What servers know ---


@pytest.mark.parametrize("vague", [False, True])
@pytest.mark.parametrize("field", ["logprobs", "response_format", "temperature", "seed", "max_tokens"])
def test_what_a_server_refuses_is_left_out(inputs, tmp_path, good, field, vague):
    with ModelServer(rejects={field}, vague=vague) as server:
        settings = asked.settings(server.url, null=NULL, connection={**asked.PLENTY, "in_flight": 8})
        rows = asked.run(inputs, tmp_path, settings)
        # Each call that was under way when the first was refused may be refused too, then all know.
        assert len(server.asked) < good[1] + 60
    got = [row for row in rows if row["source"] == "sampled"]
    assert got == [row for row in good[0] if row["source"] == "sampled"]
    without = [row for row in rows if row["source"] == "logprob_ev" and row["explanation"]]
    gone = field == "logprobs" or (vague and field != "logprobs" and "failed" in {row["status"] for row in without})
    assert {row["status"] for row in without} == ({"failed"} if gone else {"ok"})
    if gone:
        assert {row["reason"] for row in without} == {"no probabilities in the answers"}


@pytest.mark.parametrize("manners", [{"ignores": {"logprobs"}}, {"no_digits": True}])
def test_probabilities_are_judged_by_the_answer(inputs, tmp_path, good, manners):
    with ModelServer(**manners) as server:
        rows = asked.run(inputs, tmp_path, asked.settings(server.url, null=NULL))
    assert [row for row in rows if row["source"] == "sampled"] == [row for row in good[0] if row["source"] == "sampled"]
    assert {row["status"] for row in rows if row["source"] == "logprob_ev" and row["explanation"]} == {"failed"}


def test_a_model_that_wraps_its_answer(inputs, tmp_path, good):
    with ModelServer(ignores={"response_format"}, prose=True) as server:
        assert asked.run(inputs, tmp_path, asked.settings(server.url, null=NULL)) == good[0]


# --- Kills ---


def test_killed_in_the_middle_no_answered_call_is_repeated(inputs, tmp_path, good):
    with ModelServer(latency=0.05) as server:
        settings = asked.settings(server.url, null=NULL, connection={**asked.PLENTY, "in_flight": 8})
        path = tmp_path / "settings.json"
        path.write_text(settings.model_copy(update={"llm": _with_cache(settings, tmp_path)}).model_dump_json())
        paths = {"activations": inputs / "site.h5", "tokens": inputs / "tokens.h5", "prompts": ROOT / "prompts",
                 "ledger": tmp_path / "ledger.sqlite", "output": tmp_path / "output", "threads": 1}  # fmt: skip
        line = [sys.executable, "-m", "sparse_coding", "autointerp_llm", "--settings", str(path), "--dictionaries",
                str(inputs / f"{NULL}.safetensors")]  # fmt: skip
        line += [word for name, value in paths.items() for word in (f"--{name}", str(value))]
        process = subprocess.Popen(line, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, cwd=ROOT)
        deadline = time.monotonic() + 120
        while len(server.asked) < good[1] // 2 and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        time.sleep(0.3)  # what the server has in hand
        answered = len(list((tmp_path / "cache").rglob("*.json.gz")))
        before = len(server.asked)
        with sqlite3.connect(tmp_path / "ledger.sqlite") as file:
            open_calls = file.execute("select count(*), min(prompt) from calls where not settled").fetchone()
        assert 0 < answered <= before < good[1]
        assert 0 < open_calls[0] <= 8
        assert open_calls[1] > 1000  # at the most that they can cost
        rows = asked.run(inputs, tmp_path, settings)
        assert len(server.asked) - before == good[1] - answered
    assert rows == good[0]


def _with_cache(settings, work):
    connection = settings.llm.connection.model_copy(update={"cache": str(work / "cache")})
    return settings.llm.model_copy(update={"connection": connection})


def test_orders_from_the_corpus_stay_data(inputs, tmp_path):
    """Whatever a text says, it arrives as JSON strings between our own lines."""
    with ModelServer() as server:
        asked.run(inputs, tmp_path, asked.settings(server.url, features=3))
        for request in server.asked:
            user = request.body["messages"][-1]["content"]
            for line in user.split("\n"):
                assert "<|" not in line

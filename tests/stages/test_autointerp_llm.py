"""The stage with language models, through the real client, against a real server with a model that is known."""

import json
import re

import numpy as np
import pytest

from sparse_coding.interp.fragments import choose_features
from tests.interp import asked, planted
from tests.interp.asked import SEED
from tests.interp.site import DESCRIBED, N_FEAT
from tests.llm.asking import answer_of, raw_server, reply
from tests.model_server import Fault, ModelServer
from tests.stages.asked_rows import ALIVE, FEATURES, LEARNED, NULL, RANDOM, of, unlike


@pytest.fixture(scope="module")
def wide(planted_site, tmp_path_factory):
    """Rows of all dictionaries."""
    with ModelServer() as server:
        settings = asked.settings(server.url, described=DESCRIBED, null=NULL)
        return asked.run(planted_site, tmp_path_factory.mktemp("wide"), settings)


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


def test_a_rerun_sends_nothing(planted_site, tmp_path):
    with ModelServer() as server:
        settings = asked.settings(server.url, null=NULL)
        first = asked.run(planted_site, tmp_path, settings)
        bytes_of = {path.name: path.read_bytes() for path in (tmp_path / "output").iterdir()}
        server.forget()
        assert asked.run(planted_site, tmp_path, settings) == first
        assert not server.asked
        assert bytes_of == {path.name: path.read_bytes() for path in (tmp_path / "output").iterdir()}


def test_more_features_ask_for_the_new_ones_only(planted_site, tmp_path):
    with ModelServer() as server:
        fewer = asked.run(planted_site, tmp_path, asked.settings(server.url, features=2))
        sent = len(server.asked)
        more = asked.run(planted_site, tmp_path, asked.settings(server.url, features=4))
        keys = [json.dumps(request.body, sort_keys=True) for request in server.asked]
        assert len(set(keys)) == len(keys) > sent
    first = [row for row in unlike(more, "wanted") if row in unlike(fewer, "wanted")]
    assert len(first) == len(fewer)


def forecasts(said):
    """Calls in all, calls answered before, as the lines of the forecast have them."""
    return [(int(calls), int(known)) for calls, known in re.findall(r"(\d+) calls, of which (\d+) were", said)]


def test_the_forecast_knows_what_another_judge_or_scorer_has_to_be_asked(planted_site, tmp_path, capsys):
    with ModelServer() as server:
        wanted = asked.settings(server.url)
        another = wanted.model_copy(update={"llm": wanted.llm.model_copy(update={"judge": "another"})})
        for settings in (wanted, wanted, another, asked.settings(server.url, "detection", examples=6)):
            before = len(server.asked)
            asked.run(planted_site, tmp_path, settings)
            ((calls, known),) = forecasts(capsys.readouterr().out)
            assert calls - known == len(server.asked) - before
    assert known == len(ALIVE)  # explanations serve all judges


@pytest.mark.parametrize("in_flight", [1, 8])
def test_a_feature_that_has_failed_is_asked_about_no_further(planted_site, tmp_path, in_flight):
    def script(request, number):
        last = request.body["messages"][-1]["content"]
        return Fault("malformed") if "Token: " in last and 'Before: ""' not in last else None

    with ModelServer(faults=script) as server:
        connection = {**asked.PLENTY, "in_flight": in_flight}
        settings = asked.settings(server.url, features=2, simulator="per_token", connection=connection, most_failed=1)
        rows = asked.run(planted_site, tmp_path, settings)
        assert len(server.asked) <= 2 * (1 + 1 + 2 * 2 * in_flight)
    assert {row["status"] for row in rows} == {"failed"}
    assert {row["reason"] for row in rows} == {"no digit: 'sorr'"}


# Two of what tests/llm/test_answers.py makes of any shape.
ODD = [
    {"content": 3},
    {"content": [{"token": "3", "top_logprobs": [{"token": [1]}]}]},
]


@pytest.mark.parametrize("logprobs", ODD, ids=json.dumps)
def test_probabilities_of_any_shape_are_none_at_worst(planted_site, tmp_path, logprobs):
    good = {"content": [{"token": "3", "top_logprobs": [{"token": "3", "logprob": -0.1}]}]}
    checked = [reply(answer_of("3", logprobs=each)) for each in (good, None, good)]  # lists no models; two questions
    with raw_server(*checked, reply(answer_of("3", logprobs=logprobs)), keeps=True) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, features=1, simulator="per_token"))
    assert {(row["source"], row["status"]) for row in rows} == {("sampled", "pred_constant"), ("logprob_ev", "failed")}


@pytest.mark.parametrize("simulator", ["per_token", "echo"])
def test_other_ways_to_simulate(planted_site, tmp_path, simulator):
    with ModelServer() as server:
        settings = asked.settings(server.url, features=1, simulator=simulator)
        rows = asked.run(planted_site, tmp_path, settings)
        calls = 10 * 64 if simulator == "per_token" else 10
        alive = {row["feature"] for row in rows if row["status"] == "ok"}
        assert len(server.asked) == len(alive) * (1 + calls)
    sources = {"echo"} if simulator == "echo" else {"logprob_ev", "sampled"}
    assert {row["source"] for row in rows} == sources
    assert {row["simulator"] for row in rows} == {simulator}
    assert all(row["top_and_random"] > 0.99 for row in rows if row["status"] == "ok")


def test_the_tokens_of_the_judge_need_not_be_those_of_the_model(planted_site, tmp_path):
    with ModelServer(merged_tab=True) as server:
        settings = asked.settings(server.url, features=3, simulator="echo")
        rows = asked.run(planted_site, tmp_path, settings)
    assert all(row["top_and_random"] > 0.99 for row in rows if row["status"] == "ok")


@pytest.mark.parametrize("scorer", ["detection", "fuzzing"])
def test_texts_are_told_apart(planted_site, tmp_path, scorer):
    digits = {planted.VOCABULARY.index(text) for text in planted.DIGITS}  # no word of the text holds one by chance
    with ModelServer() as server:
        settings = asked.settings(server.url, scorer, features=N_FEAT, examples=6, per_call=5)
        rows = asked.run(planted_site, tmp_path, settings)
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


def test_examples_are_disjoint_from_what_the_explainer_saw(planted_site, tmp_path):
    with ModelServer() as server:
        asked.run(planted_site, tmp_path, asked.settings(server.url, "detection", features=3, examples=6))
        texts = [request.body["messages"][-1]["content"] for request in server.asked]
    explained = {text for text in texts if "<start>" in text}
    shown = {"".join(json.loads(line.split("\t")[0]) for line in part.split("<end>")[0].strip().split("\n"))
             for text in explained for part in text.split("<start>")[1:]}  # fmt: skip
    judged = {json.loads(line.split(": ", 1)[1]) for text in texts if "Examples:" in text
              for line in text.split("Examples:\n")[1].split("\n")}  # fmt: skip
    assert len(shown) == 5 * len(explained)
    # Fragments are different texts; one feature's may be another's, so this holds for the features of one run each.
    assert len(explained) > 1 or not shown & judged


def test_orders_from_the_corpus_stay_data(planted_site, tmp_path):
    """Whatever a text says, it arrives as JSON strings between our own lines."""
    with ModelServer() as server:
        asked.run(planted_site, tmp_path, asked.settings(server.url, features=3))
        for request in server.asked:
            user = request.body["messages"][-1]["content"]
            for line in user.split("\n"):
                assert "<|" not in line

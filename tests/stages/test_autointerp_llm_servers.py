"""Servers that leave out half of what they are asked, and proxies that refuse some of it; counted at the server."""

import json
import re

import pytest

from sparse_coding.errors import BadInput, Unanswered
from tests.interp import asked
from tests.model_server import ModelServer

NEITHER = {"response_format", "logprobs", "top_logprobs"}


def test_a_server_that_ignores_schema_and_probabilities_gives_sampled_scores(planted_site, tmp_path, capsys):
    """As `transformers serve` does: 200, and neither."""
    with ModelServer(ignores=NEITHER, prose=True) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, features=2))
        bodies = [json.dumps(request.body, sort_keys=True) for request in server.asked if request.body]
    assert len(bodies) == len(set(bodies))  # nothing was asked twice for it
    scored = [row for row in rows if row["status"] == "ok"]
    assert scored
    assert all(row["top_and_random"] > 0.99 for row in scored)
    assert {row["source"] for row in scored} == {"sampled"}
    assert {row["reason"] for row in rows if row["source"] == "logprob_ev"} <= {"no probabilities in the answers", None}
    said = "".join(capsys.readouterr())
    assert "no probabilities in an answer of judges: scores will be of what it writes alone" in said
    assert "judges does not keep to the schema" in said


@pytest.mark.parametrize("scorer", ["simulation", "detection"])
def test_a_server_that_cuts_long_questions_is_asked_about_it_and_scores_nothing(planted_site, tmp_path, capsys, scorer):
    """As Ollama does beyond its context: 200, and an answer to the end of the question."""
    with ModelServer(ignores=NEITHER, context=60) as server:
        settings = asked.settings(server.url, scorer, features=3)
        with pytest.raises(Unanswered, match=r"3 of 3 features .* without an answer that can be used"):
            asked.run(planted_site, tmp_path, settings)
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, scorer, features=3, most_failed=1))
        assert all(request.answered for request in server.asked)
    said = "".join(capsys.readouterr())
    for model in ("explains", "judges"):
        words = rf"{model} read 60 tokens of a question of ([0-9,]+) bytes: does it cut long ones\?"
        lengths = [int(length.replace(",", "")) for length in re.findall(words, said)]
        assert 1 <= len(lengths) <= 2
        assert min(lengths) > 12 * 60
    alive = [row for row in rows if row["status"] != "dead"]
    assert {row["status"] for row in alive} == {"failed"}
    assert all(row["reason"] for row in alive)
    assert all(row["top_and_random"] is None and row["balanced_accuracy"] is None for row in alive)


def test_a_proxy_that_knows_no_temperature_is_asked_without(planted_site, tmp_path):
    routes = {"explains": "upstream-a", "judges": "upstream-b"}
    with ModelServer(rejects={"temperature"}, routes=routes) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, features=2))
        posts = [request for request in server.asked if request.body]
    refused = [request for request in posts if not request.answered]
    assert 1 <= len(refused) <= 2  # one for each model
    assert all("temperature" not in request.body for request in posts if request.answered)
    assert {row["status"] for row in rows} <= {"ok", "dead"}


def test_a_proxy_that_does_not_know_a_model_ends_the_run_at_once(planted_site, tmp_path):
    with ModelServer(routes={"explains": "upstream-a"}) as server:
        with pytest.raises(BadInput, match="judges"):
            asked.run(planted_site, tmp_path, asked.settings(server.url, features=4))
        assert len([request for request in server.asked if request.body]) <= 12

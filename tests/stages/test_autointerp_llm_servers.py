"""Servers that leave out half of what they are asked, and proxies that refuse some of it; counted at the server."""

import json

import pytest

from sparse_coding.errors import BadInput
from tests.interp import asked
from tests.model_server import ModelServer


def test_a_server_that_ignores_schema_and_probabilities_gives_sampled_scores(planted_site, tmp_path, capsys):
    """As `transformers serve` does: 200, and neither."""
    with ModelServer(ignores={"response_format", "logprobs", "top_logprobs"}) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, features=2))
        bodies = [json.dumps(request.body, sort_keys=True) for request in server.asked if request.body]
    assert len(bodies) == len(set(bodies))  # nothing was asked twice for it
    scored = [row for row in rows if row["status"] == "ok"]
    assert scored
    assert all(row["top_and_random"] > 0.99 for row in scored)
    assert {row["source"] for row in scored} == {"sampled"}
    assert "probabilities" in "".join(capsys.readouterr())


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

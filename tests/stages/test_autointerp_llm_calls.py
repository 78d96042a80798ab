"""The calls that a forecast counts are those that a run sends, scorer by scorer."""

import re

import pytest

from sparse_coding.forecast.probing import llm
from sparse_coding.settings.params import Params
from tests.interp import asked
from tests.interp.asked import SEED
from tests.model_server import ModelServer
from tests.stages.asked_rows import ALIVE
from tests.tiny_model import make_tiny_embedder

SCORERS = [
    ("simulation", {}, 1 + 10), ("simulation", {"simulator": "echo"}, 1 + 10), ("detection", {"examples": 6}, 1 + 3),
    ("fuzzing", {"examples": 4, "per_call": 3}, 1 + 3), ("intruder", {"examples": 7}, 7),
    ("embedding", {"examples": 6, "embedder": "here", "judge": ""}, 1),
]  # fmt: skip


def counted(line: str) -> tuple[int, int, int]:
    """Features, calls and known ones of a forecast."""
    found = re.search(r"([\d,]+) features, ([\d,]+) calls, of which ([\d,]+) were answered before", line)
    assert found, line
    features, calls, known = (int(number.replace(",", "")) for number in found.groups())
    return features, calls, known


@pytest.mark.parametrize(("scorer", "llm_settings", "each"), SCORERS, ids=lambda value: str(value))
def test_as_many_as_were_sent(planted_site, tmp_path, capsys, scorer, llm_settings, each):
    if "embedder" in llm_settings:
        llm_settings = llm_settings | {"embedder": str(make_tiny_embedder(tmp_path / "embedder"))}
    with ModelServer() as server:
        settings = asked.settings(server.url, scorer, **llm_settings)
        asked.run(planted_site, tmp_path, settings)
        assert len(server.asked) == each * len(ALIVE)
        assert counted(capsys.readouterr().out) == (len(ALIVE), each * len(ALIVE), 0)
        server.forget()
        asked.run(planted_site, tmp_path, settings)
        assert not server.asked
        assert counted(capsys.readouterr().out) == (len(ALIVE), each * len(ALIVE), each * len(ALIVE))
    asks = settings.llm.model_dump(mode="json")
    params = Params.model_validate(
        {"autointerp": {"scorer": scorer, "features": 5, "seed": SEED, "random_weights": None, "llm": asks}}
    )
    before = [counted(line) for line in llm.of_params(params).splitlines() if " samples, " in line]
    assert before
    assert all(calls == each * features for features, calls, _ in before)

"""The stage with language models, where servers fail, refuse, or answer in ways of their own."""

import json

import pytest

from sparse_coding.errors import BadInput, Paused, Unanswered
from tests.interp import asked, planted
from tests.interp.asked import SEED
from tests.interp.site import N_FEAT
from tests.model_server import Fault, ModelServer
from tests.stages.asked_rows import ALIVE, LEARNED, NULL, spent
from tests.workspace import content

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
def test_faults_that_pass_change_nothing(planted_site, tmp_path, faultless, fault):
    with ModelServer(faults=every(fault)) as server:
        settings = asked.settings(server.url, null=NULL, connection={**asked.PLENTY, "timeout": 1.0})
        assert asked.run(planted_site, tmp_path, settings) == faultless[0]
        assert (len(server.asked) > faultless[1]) == (fault.kind != "slow")  # which is waited for, not asked again


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_unusable_answer_is_asked_for_once_more(planted_site, tmp_path, faultless, kind):
    def script(request, number):
        listed = "Tokens:" in request.body["messages"][-1]["content"]
        return Fault(kind) if listed and request.body["seed"] == SEED and number % 5 == 0 else None

    with ModelServer(faults=script) as server:
        assert asked.run(planted_site, tmp_path, asked.settings(server.url, null=NULL)) == faultless[0]
        seeds = [request.body["seed"] for request in server.asked]
        assert seeds.count(SEED + 1) == len(seeds) - faultless[1] > 5


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("refusal", "refused"), ("refusal_text", "refused"), ("empty", "empty answer"), ("null", "empty answer"),
     ("no_choices", "no choices")],
)  # fmt: skip
def test_a_feature_without_an_explanation_is_failed_and_has_no_score(planted_site, tmp_path, kind, reason):
    word = planted.VOCABULARY[ALIVE[0]].strip()

    def script(request, number):
        text = request.body["messages"][-1]["content"]
        return Fault(kind) if "<start>" in text and f'" {word}"\t10' in text else None

    with ModelServer(faults=script) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, described=LEARNED, most_failed=1))
    for source in ("logprob_ev", "sampled"):
        failed = [row for row in rows if row["status"] == "failed" and row["source"] == source]
        assert [row["feature"] for row in failed] == [ALIVE[0]] * 2
        for row in failed:
            assert reason in row["reason"]
            assert row["top"] is row["random"] is row["top_and_random"] is None


def test_zeros_are_a_constant_prediction_and_say_so(planted_site, tmp_path):
    def script(request, number):
        return Fault("zeros") if "Tokens:" in request.body["messages"][-1]["content"] else None

    with ModelServer(faults=script) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, logprobs=False))
    scored = [row for row in rows if row["status"] != "dead"]
    assert {(row["status"], row["top_and_random"]) for row in scored} == {("pred_constant", 0.0)}


@pytest.mark.parametrize("most", [60, 400])
def test_a_cut_explanation_is_asked_for_with_more_room(planted_site, tmp_path, faultless, most):
    """The first attempt is cut; the second has at least 300 tokens more."""

    def script(request, number):
        text, room = request.body["messages"][-1]["content"], request.body["max_tokens"]
        return Fault("truncated") if "<start>" in text and room == most else None

    with ModelServer(faults=script) as server:
        settings = asked.settings(server.url, null=NULL, explanation_tokens=most)
        assert asked.run(planted_site, tmp_path, settings) == faultless[0]
        explained = [request for request in server.asked if "<start>" in request.body["messages"][-1]["content"]]
        room = [request.body["max_tokens"] for request in explained]
    assert sorted(set(room)) == [most, max(2 * most, most + 300)]
    assert room.count(most) * 2 == len(room) == 2 * 6


def test_a_model_that_only_thinks_is_no_table(planted_site, tmp_path):
    """Every explanation is cut inside its thoughts, though each has all its room."""

    def script(request, number):
        return Fault("thinks") if "<start>" in request.body["messages"][-1]["content"] else None

    with ModelServer(faults=script) as server, pytest.raises(Unanswered, match="nothing but thoughts: <think>Okay"):
        asked.run(planted_site, tmp_path, asked.settings(server.url))
    assert not list((tmp_path / "output").glob("*"))


STOPS = [("quota", "quota"), ("key", "the key is not accepted"), ("key_limit", "access"), ("model", "no such model")]


@pytest.mark.parametrize(("kind", "said"), STOPS)
def test_what_will_not_pass_ends_the_run_at_once(planted_site, tmp_path, monkeypatch, capfd, kind, said):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret-1234567890")
    with ModelServer(faults=lambda request, number: Fault(kind) if number >= 12 else None) as server:
        reached = {**asked.PLENTY, "in_flight": 4, "key_variable": "OPENAI_API_KEY"}
        with pytest.raises(BadInput, match=f"{said}.*same command again") as error:
            asked.run(planted_site, tmp_path, asked.settings(server.url, connection=reached))
        assert len(server.asked) <= 12 + 4
        assert {request.authorization for request in server.asked} == {"Bearer sk-very-secret-1234567890"}
    assert not isinstance(error.value, Paused)
    said = str(error.value) + "".join(capfd.readouterr())
    assert "sk-very" not in said
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or b"sk-very" not in content(path)


def test_a_server_that_never_answers_ends_the_run(planted_site, tmp_path):
    with ModelServer(faults=lambda request, number: Fault("server")) as server:
        settings = asked.settings(server.url, connection={**asked.PLENTY, "retries": 1})
        with pytest.raises(BadInput, match=r"explains: HTTP 500: .*, 2 times; wanted a server that answers"):
            asked.run(planted_site, tmp_path, settings)
        assert len(server.asked) < 100
    assert not list((tmp_path / "output").glob("*"))


def test_nobody_there(planted_site, tmp_path):
    with ModelServer() as server:
        url = server.url
    settings = asked.settings(url, connection={**asked.PLENTY, "retries": 1})
    with pytest.raises(BadInput, match="no connection"):
        asked.run(planted_site, tmp_path, settings)
    assert spent(tmp_path)[1] == 0


def test_a_model_that_talks_nonsense_ends_the_run(planted_site, tmp_path):
    with ModelServer(faults=lambda request, number: Fault("malformed") if number else None) as server:
        settings = asked.settings(server.url, features=N_FEAT)
        with pytest.raises(BadInput, match="10 features in a row without an answer that can be used"):
            asked.run(planted_site, tmp_path, settings)
        assert len(server.asked) < 12 * 25


def test_a_server_that_needs_no_key_gets_none_of_ours(planted_site, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-somebody-else")
    with ModelServer() as server:
        asked.run(planted_site, tmp_path, asked.settings(server.url, features=2))
        assert not any("sk-for" in (request.authorization or "") for request in server.asked)


def test_no_key_for_a_server_that_needs_one(planted_site, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(BadInput, match="environment variable OPENAI_API_KEY: found nothing"):
        asked.run(planted_site, tmp_path, asked.settings("https://api.openai.com/v1"))


@pytest.mark.parametrize("vague", [False, True])
@pytest.mark.parametrize("field", ["logprobs", "response_format", "temperature", "seed", "max_tokens"])
def test_what_a_server_refuses_is_left_out(planted_site, tmp_path, faultless, field, vague):
    with ModelServer(rejects={field}, vague=vague) as server:
        settings = asked.settings(server.url, null=NULL, connection={**asked.PLENTY, "in_flight": 8})
        rows = asked.run(planted_site, tmp_path, settings)
        # Each call that was under way when the first was refused may be refused too, then all know.
        assert len(server.asked) < faultless[1] + 60
    got = [row for row in rows if row["source"] == "sampled"]
    assert got == [row for row in faultless[0] if row["source"] == "sampled"]
    without = [row for row in rows if row["source"] == "logprob_ev" and row["explanation"]]
    gone = field == "logprobs" or (vague and field != "logprobs" and "failed" in {row["status"] for row in without})
    assert {row["status"] for row in without} == ({"failed"} if gone else {"ok"})
    if gone:
        assert {row["reason"] for row in without} == {"no probabilities in the answers"}


@pytest.mark.parametrize("manners", [{"ignores": {"logprobs"}}, {"no_digits": True}])
def test_probabilities_are_judged_by_the_answer(planted_site, tmp_path, faultless, manners):
    with ModelServer(**manners) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, null=NULL))
    assert [row for row in rows if row["source"] == "sampled"] == [
        row for row in faultless[0] if row["source"] == "sampled"
    ]
    assert {row["status"] for row in rows if row["source"] == "logprob_ev" and row["explanation"]} == {"failed"}


def test_a_model_that_wraps_its_answer(planted_site, tmp_path, faultless):
    with ModelServer(ignores={"response_format"}, prose=True) as server:
        assert asked.run(planted_site, tmp_path, asked.settings(server.url, null=NULL)) == faultless[0]

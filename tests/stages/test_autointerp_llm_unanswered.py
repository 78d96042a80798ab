"""The stage with language models, where a server leaves features without an answer: no table, and nothing lost."""

import json
import os
import subprocess
import sys
from collections import Counter

import pytest

from sparse_coding.errors import Paused, Unanswered, exit_code
from tests.interp import asked
from tests.interp.site import DESCRIBED, N_FEAT
from tests.model_server import Fault, ModelServer
from tests.stages.asked_rows import FEATURES, LEARNED, NULL, of
from tests.workspace import ROOT

JUDGED = "Tokens:"


def text(request) -> str:
    return request.body["messages"][-1]["content"]


def of_feature(server, number: int) -> str:
    """What the explainer was told of one of the features: the text that no other question has."""
    explained = [text(each) for each in server.asked if "<start>" in text(each)]
    return sorted(dict.fromkeys(explained), key=len)[number]


@pytest.fixture
def shortest(planted_site, tmp_path_factory) -> str:
    """The question to the explainer that is the shortest of all: a check before the run asks longer ones."""
    with ModelServer() as server:
        asked.run(planted_site, tmp_path_factory.mktemp("free"), asked.settings(server.url))
        return of_feature(server, 0)


def ends(planted_site, work, settings, match: str) -> Unanswered:
    with pytest.raises(Unanswered, match=match) as error:
        asked.run(planted_site, work, settings)
    assert not isinstance(error.value, Paused)
    assert exit_code(error.value) == 4
    assert not list((work / "output").glob("*"))
    return error.value


@pytest.mark.parametrize(
    ("kind", "said"),
    [("too_long", r"no answer for 1 of \d+ features, 1 of them for a context of 8 tokens.*larger context"),
     ("server", r"no answer for 1 of \d+ features \(HTTP 500: .*, 2 times\); wanted the same command again"),
     ("drop", r"no answer for 1 of \d+ features \(no connection"),
     ("bad_request", r"no answer for 1 of \d+ features \(HTTP 400: Invalid request.\)"),
     ("no_room", r"1 of them for a context of [\d,]+ tokens, where [\d,]+ are needed \(cut at its longest: ")],
)  # fmt: skip
def test_what_a_server_leaves_unanswered_is_no_table_and_is_asked_for_alone(
    planted_site, tmp_path, faultless, shortest, kind, said
):
    """The fault befalls one feature of several: the others are asked about, and kept."""
    with ModelServer(lambda request, number: Fault(kind) if text(request) == shortest else None) as server:
        settings = asked.settings(server.url, null=NULL, connection={**asked.PLENTY, "retries": 1, "in_flight": 4})
        ends(planted_site, tmp_path, settings, said)
        before = len(server.asked)
        server.faults = ()  # mended
        assert asked.run(planted_site, tmp_path, settings) == faultless[0]
        alone = server.asked[before:]
        explained = [each for each in alone if "<start>" in text(each)]
        assert {text(each) for each in explained} == {shortest}
        assert len(alone) == 1 + 10  # its explanation, and the ten fragments that test it
        assert len([each for each in server.asked if each.answered]) >= faultless[1]


def test_partly_published_as_at_a_cap(planted_site, tmp_path, shortest, capsys):
    with ModelServer(lambda request, number: Fault("too_long") if text(request) == shortest else None) as server:
        settings = asked.settings(server.url, described=DESCRIBED, partial=True, null=NULL)
        rows = asked.run(planted_site, tmp_path, settings)
    counts = Counter((row["name"], row["condition"]) for row in rows if row["source"] == "sampled")
    assert set(counts.values()) == {FEATURES - 1}
    assert {row["wanted"] for row in rows} == {FEATURES}
    assert "failed" not in {row["status"] for row in rows}
    assert f"tables of {FEATURES - 1} of {FEATURES} features" in capsys.readouterr().out


def test_a_part_is_wanted_of_what_a_small_context_takes(planted_site, tmp_path, capsys):
    """The longest questions are refused: said before the run, and left out of the tables."""
    lengths: list[int] = []

    def too_long(request, number):
        lengths.append(len(text(request)))
        return Fault("too_long") if len(text(request)) == max(lengths) and "<start>" in text(request) else None

    with ModelServer(too_long) as server:
        settings = asked.settings(server.url, described=LEARNED, partial=True)
        rows = asked.run(planted_site, tmp_path, settings)
    assert 0 < len(of(rows, LEARNED[0].name, "sampled")) < FEATURES
    assert "is left out, as accept_partial allows" in capsys.readouterr().out


def test_a_part_is_wanted_where_the_longest_question_breaks_the_server(planted_site, tmp_path, capsys):
    with ModelServer() as server:
        at_once = {**asked.PLENTY, "retries": 0}
        settings = asked.settings(server.url, described=LEARNED, partial=True, connection=at_once)
        asked.run(planted_site, tmp_path / "free", settings)
        longest = of_feature(server, -1)
        server.faults = lambda request, number: Fault("server") if text(request) == longest else None
        rows = asked.run(planted_site, tmp_path / "breaks", settings)
        assert {len(of(rows, each.name, "sampled")) for each in LEARNED} == {FEATURES - 1}
        assert "explains: HTTP 500: " in capsys.readouterr().out
        server.faults = lambda request, number: Fault("server")
        ends(planted_site, tmp_path / "gone", settings, r"explains answers none of its questions \(HTTP 500")


def test_not_one_feature_to_publish(planted_site, tmp_path):
    with ModelServer(lambda request, number: Fault("server") if JUDGED in text(request) else None) as server:
        settings = asked.settings(server.url, partial=True, connection={**asked.PLENTY, "retries": 0})
        ends(planted_site, tmp_path, settings, "HTTP 500")


def test_features_that_are_asked_for_once_more_are_not_counted_twice(planted_site, tmp_path):
    """A busy server leaves the last seven, and when they are asked for once more six of them: that is not ten."""
    with ModelServer() as server:
        settings = asked.settings(server.url, features=N_FEAT, connection={**asked.PLENTY, "retries": 0})
        asked.run(planted_site, tmp_path / "free", settings)
        explained = dict.fromkeys(text(each) for each in server.asked if "<start>" in text(each))
        left = list(explained)[-7:]
        seen: Counter[str] = Counter()

        def busy(request, number):
            seen[text(request)] += 1
            once_more = [each for each in left if seen[each] == 2]
            return Fault("busy") if text(request) in left and len(once_more) < len(left) else None

        server.faults = busy
        ends(planted_site, tmp_path / "busy", settings, "no answer for 6 of")
    assert {seen[each] for each in left} == {2}


@pytest.mark.parametrize(("most", "published"), [(0.34, True), (0.33, False), (0, False), (1, True)])
def test_failures_of_the_words_are_rows_up_to_a_share(planted_site, tmp_path, shortest, most, published):
    """One of the three features that are asked about."""
    with ModelServer(lambda request, number: Fault("refusal") if text(request) == shortest else None) as server:
        settings = asked.settings(server.url, most_failed=most)
        if published:
            statuses = [row["status"] for row in of(asked.run(planted_site, tmp_path, settings), NULL, "sampled")]
            assert statuses.count("failed") == 1
            return
        ends(planted_site, tmp_path, settings, rf"autointerp.llm.most_failed: found 1 of 3 features of {NULL} \(plain\)"
             rf" without an answer that can be used, 33% \(most often: refused: .* at most {most:.0%}")  # fmt: skip
        before = len(server.asked)
        ends(planted_site, tmp_path, settings, "most_failed")
        assert len(server.asked) == before  # what failed by its words is known


def test_probabilities_alone_may_be_missing(planted_site, tmp_path):
    with ModelServer(ignores={"logprobs"}) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, most_failed=0))
    failed = {row["source"] for row in rows if row["status"] == "failed"}
    assert failed == {"logprob_ev"}


def test_the_step_has_an_exit_code_of_its_own(planted_site, tmp_path, shortest):
    with ModelServer(lambda request, number: Fault("server") if text(request) == shortest else None) as server:
        connection = {**asked.PLENTY, "retries": 0, "cache": str(tmp_path / "cache")}
        path = tmp_path / "settings.json"
        path.write_text(asked.settings(server.url, connection=connection).model_dump_json())
        line = [sys.executable, "-m", "sparse_coding", "autointerp_llm", "--settings", str(path), "--dictionaries",
                str(planted_site / f"{NULL}.safetensors")]  # fmt: skip
        paths = {"activations": planted_site / "site.h5", "tokens": planted_site / "tokens.h5",
                 "prompts": ROOT / "prompts", "ledger": tmp_path / "ledger.sqlite", "output": tmp_path / "output",
                 "threads": 1}  # fmt: skip
        line += [word for name, value in paths.items() for word in (f"--{name}", str(value))]
        done = subprocess.run(
            line, env={**os.environ, "PYTHONPATH": str(ROOT / "src")}, cwd=ROOT, capture_output=True, text=True
        )
    assert done.returncode == 4, done.stderr
    assert "no answer for 1 of" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads(path.read_text())["llm"]["most_failed"] == 0.05

"""The stage, where a provider refuses the text of one feature, or fails inside a 200."""

import pytest

from sparse_coding.errors import BadInput, Unanswered
from tests.interp import asked, planted
from tests.interp.site import DESCRIBED, N_FEAT
from tests.model_server import Fault, ModelServer
from tests.stages.asked_rows import ALIVE, LEARNED, NULL

WORD = planted.VOCABULARY[ALIVE[0]].strip()


def about(kind, word=WORD):
    """The fault befalls what is asked to explain the feature of a word."""

    def script(request, number):
        text = request.body["messages"][-1]["content"]
        return Fault(kind) if "<start>" in text and f'" {word}"\t10' in text else None

    return script


@pytest.mark.parametrize("kind", ["flagged", "filtered"])
def test_the_feature_fails_with_its_reason_and_the_others_are_scored(planted_site, tmp_path, kind):
    with ModelServer(faults=about(kind)) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, described=LEARNED, most_failed=1))
        sent = [request for request in server.asked if f'" {WORD}"\t10' in request.body["messages"][-1]["content"]]
        assert len(sent) <= 2 * len(LEARNED)  # the questions before the run may have been about it
    failed = [row for row in rows if row["status"] == "failed" and row["source"] == "sampled"]
    assert [row["feature"] for row in failed] == [ALIVE[0]] * len(LEARNED)
    assert all(row["reason"].startswith("the question was flagged (HTTP 40") for row in failed)
    assert sum(row["status"] == "ok" and row["source"] == "sampled" for row in rows) == 2 * (len(ALIVE) - 1)


def test_a_403_that_says_nothing_may_be_access_that_is_lost(planted_site, tmp_path):
    with ModelServer(faults=about("forbidden")) as server:
        settings = asked.settings(server.url, described=LEARNED, most_failed=1)
        with pytest.raises(Unanswered, match=r"no answer for 2 of 8 features \(access is denied \(HTTP 403"):
            asked.run(planted_site, tmp_path, settings)
    assert not list((tmp_path / "output").glob("*"))


def test_access_that_is_lost_on_the_way_ends_the_run(planted_site, tmp_path):
    with ModelServer(faults=lambda request, number: Fault("forbidden") if number >= 12 else None) as server:
        settings = asked.settings(server.url, described=DESCRIBED[:1], features=N_FEAT)
        with pytest.raises(BadInput, match=r"10 features in a row .*access is denied \(HTTP 403"):
            asked.run(planted_site, tmp_path, settings)
        assert len(server.asked) < 12 * 11
    assert not list((tmp_path / "output").glob("*"))


def test_no_access_from_the_first_question_on_ends_the_run_after_another(planted_site, tmp_path):
    with ModelServer(faults=lambda request, number: Fault("forbidden")) as server:
        with pytest.raises(BadInput, match=r"access is denied.*same command again"):
            asked.run(planted_site, tmp_path, asked.settings(server.url))
        assert len(server.asked) == 2


@pytest.mark.parametrize("kind", ["error_in_choice", "error_in_place"])
def test_errors_inside_a_200_that_pass_change_nothing(planted_site, tmp_path, faultless, kind):
    with ModelServer(faults=lambda request, number: Fault(kind) if number % 5 == 2 else None) as server:
        assert asked.run(planted_site, tmp_path, asked.settings(server.url, null=NULL)) == faultless[0]
        assert len(server.asked) > faultless[1]

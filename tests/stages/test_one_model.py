"""Which answers may be one mean."""

import pytest

from sparse_coding.errors import BadInput
from sparse_coding.interp.one_model import mixed
from sparse_coding.io import judged, tables
from sparse_coding.settings.slices import AutointerpTablesSlice
from sparse_coding.stages import autointerp_tables
from tests.interp import asked
from tests.model_server import ModelServer


def row(explainer: str | None, judge: str | None) -> dict[str, str | None]:
    return {"explainer_answered": explainer, "judge_answered": judge}


def test_one_name_for_each_is_not_mixed_whatever_was_asked_for():
    assert mixed([row("gpt-4.1-2025-04-14", "a"), row(None, None), row("gpt-4.1-2025-04-14", "a"), {}]) == ""
    assert mixed([row("a", "b; c"), row("a", "b")]) == "judge: answers of b and of c"
    assert mixed([row("a", "b"), row("x", "b")]) == "explainer: answers of a and of x"


@pytest.fixture(scope="module")
def written(planted_site, tmp_path_factory):
    """A run whose judge is another model from the tenth answer on."""
    folder = tmp_path_factory.mktemp("mixed")
    with ModelServer(answers_as=lambda model, number: f"{model}-{1 + (number > 9)}") as server:
        rows = asked.run(planted_site, folder, asked.settings(server.url, features=2, connection=ONE_BY_ONE))
    return rows, sorted((folder / "output").iterdir())


ONE_BY_ONE = {"max_tokens": 10**9, "in_flight": 1}


def test_rows_say_who_answered(written):
    rows, _ = written
    answered = {(each["explainer_answered"], each["judge_answered"]) for each in rows if each["explanation"]}
    assert {judge for _, judge in answered} >= {"judges-1; judges-2"}
    assert {each["judge"] for each in rows} == {"judges"}
    assert {each["server"] for each in rows} == {"here"}


def test_answers_of_two_models_are_no_mean(written, tmp_path):
    _, files = written
    settings = AutointerpTablesSlice(names=("one",), bootstrap=10)
    with pytest.raises(BadInput, match=r"judge: answers of judges-1 and of judges-2; wanted answers of one: name that"):
        autointerp_tables.run(settings, scores=files, output=tmp_path / "out")
    one = [each | {"judge_answered": "judges-1", "explainer_answered": None} for each in written[0]]
    tables.write(tmp_path / "one.parquet", one, judged.JUDGED)
    autointerp_tables.run(settings, scores=[tmp_path / "one.parquet"], output=tmp_path / "out")
    assert (tmp_path / "out" / "means.csv").read_text().count("judges") == 2

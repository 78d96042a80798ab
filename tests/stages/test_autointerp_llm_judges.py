"""The stage with each of its judges, against a real server with a model that is known."""

import json
import math

import numpy as np
import pytest

from sparse_coding.interp.fragments import choose_features
from sparse_coding.interp.judge import neighbours
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io.activations import open_activations
from tests.interp import asked, planted
from tests.interp.asked import SEED
from tests.interp.site import DESCRIBED, N_FEAT
from tests.model_server import ModelServer
from tests.stages.asked_rows import ALIVE, LEARNED, NULL, RANDOM, of, unlike
from tests.tiny_model import make_tiny_embedder


def scored(rows):
    return [row for row in rows if row["status"] == "ok"]


def test_intruders_need_no_explainer(planted_site, tmp_path):
    with ModelServer() as server:
        settings = asked.settings(server.url, "intruder", null=NULL, explainer="")
        rows = asked.run(planted_site, tmp_path, settings)
        assert {request.body["model"] for request in server.asked} == {"judges"}
        assert len(server.asked) == 2 * 20 * len(ALIVE)
    plain, null = scored(of(rows, NULL, "choices")), of(rows, NULL, "choices", "shuffled_null")
    assert {row["feature"] for row in plain} == set(ALIVE)
    for row in plain:
        assert row["accuracy"] == 1
        assert row["expected_accuracy"] > 0.9
        assert (row["explanation"], row["explainer"], row["shown"], row["negatives"]) == (
            None, "nobody", "nothing", "silent"
        )  # fmt: skip
        assert (row["auc"], row["balanced_accuracy"]) == (None, None)
    by_chance = [row["accuracy"] for row in null if row["status"] in ("ok", "pred_constant")]
    assert len(by_chance) == len(ALIVE)
    assert abs(np.mean(by_chance) - 0.2) < 3 * math.sqrt(0.2 * 0.8 / (20 * len(by_chance)))


@pytest.mark.parametrize("scorer", ["detection", "fuzzing", "intruder"])
def test_dense_features_have_scores(planted_site, tmp_path, scorer):
    with ModelServer() as server:
        settings = asked.settings(server.url, scorer, described=[RANDOM], features=3, examples=10)
        rows = asked.run(planted_site, tmp_path, settings)
    assert {row["status"] for row in rows} <= {"ok", "pred_constant"}
    assert {row["negatives"] for row in rows} == {"silent" if scorer == "fuzzing" else "weakest"}


def test_answers_with_probabilities_rank_texts_and_those_without_do_not(planted_site, tmp_path):
    """What earlier versions asked is what is asked today without probabilities: it is paid for, and taken."""
    with ModelServer() as server:
        before = asked.run(planted_site, tmp_path, asked.settings(server.url, "detection", examples=6, logprobs=False))
        assert {row["auc"] for row in before} == {None}
        assert not any("logprobs" in request.body for request in server.asked)
        server.forget()
        settings = asked.settings(server.url, "detection", examples=6)
        assert asked.run(planted_site, tmp_path, settings) == before
        assert not server.asked
        (tmp_path / "anew").mkdir()
        rows = asked.run(planted_site, tmp_path / "anew", settings)
    assert unlike(rows, "auc") == unlike(before, "auc")
    for row in scored(rows):  # this model is equally sure of all that it says
        assert row["auc"] == pytest.approx(row["balanced_accuracy"])


def test_without_probabilities_there_is_no_rank(planted_site, tmp_path):
    with ModelServer(ignores=["logprobs"]) as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, "fuzzing", examples=6))
    assert scored(rows)
    assert all(row["auc"] is None and row["balanced_accuracy"] is not None for row in scored(rows))


def test_hard_negatives_are_texts_of_the_nearest_features(planted_site, tmp_path):
    with ModelServer() as server:
        settings = asked.settings(server.url, "detection", examples=6, negatives="nearest")
        rows = asked.run(planted_site, tmp_path, settings)
        texts = [request.body["messages"][-1]["content"] for request in server.asked]
    assert {row["negatives"] for row in scored(rows)} == {"nearest"}
    assert {row["simulator"] for row in rows} == {"classifier, nearest negatives"}
    name, features = LEARNED[0].name, choose_features(N_FEAT, 4, SEED)
    atoms = dictionary_files.load(planted_site / f"{name}.safetensors").atoms.numpy()
    for row in scored(rows):
        near = neighbours.nearest(atoms, np.array([row["feature"]]), neighbours.NEIGHBOURS)[0]
        words = {planted.VOCABULARY[feature].strip() for feature in near}
        asked_about = [json.loads(line.split(": ", 1)[1]) for text in texts if row["explanation"][7:-1] in text
                       for line in text.split("Examples:\n")[-1].split("\n") if "Examples:" in text]  # fmt: skip
        own = planted.VOCABULARY[row["feature"]].strip()
        silent = [text.split() for text in asked_about if own not in text.split()]
        assert silent
        assert all(set(text) & words for text in silent)
    assert set(ALIVE) <= set(features)


def test_where_neighbours_fire_is_what_all_codes_say(planted_site):
    path = planted_site / f"{RANDOM.name}.safetensors"
    with open_activations(planted_site / "site.h5") as file:
        fragments = file.split("fragments")
        found = neighbours.near(path, fragments, np.array([3, 0]), 64)
        dictionary = dictionary_files.load(path)
        fires = (dictionary.encode(fragments.read(0, fragments.n_rows)).numpy() > 0).reshape(-1, 64, dictionary.n_feat)
    near = neighbours.nearest(dictionary.atoms.numpy(), np.array([3, 0]), neighbours.NEIGHBOURS)
    assert np.array_equal(found, fires.any(axis=1).T[near])


def test_more_shown_leaves_what_is_tested(planted_site, tmp_path):
    def tested(**llm):
        with ModelServer() as server:
            settings = asked.settings(server.url, "detection", examples=6, **llm)
            rows = asked.run(planted_site, tmp_path / str(len(llm)), settings)
            bodies = [request.body["messages"][-1]["content"] for request in server.asked]
        return rows, {text.split("Examples:")[1] for text in bodies if "Examples:" in text}, bodies

    top, quantiles = tested(), tested(shown=12, quantiles=4)
    assert top[1] == quantiles[1]
    assert {row["shown"] for row in top[0]} == {"5 of the top 20"}
    assert {row["shown"] for row in quantiles[0]} == {"12 in 4 quantiles"}
    assert {text.count("<start>") for text in quantiles[2] if "<start>" in text} == {12}


def test_embeddings_score_without_a_judge(planted_site, tmp_path):
    folder = make_tiny_embedder(tmp_path / "embedder")
    with ModelServer() as server:
        settings = asked.settings(server.url, "embedding", examples=6, embedder=str(folder), judge="")
        rows = asked.run(planted_site, tmp_path, settings)
        assert len(server.asked) == len(ALIVE)
        assert {request.body["model"] for request in server.asked} == {"explains"}
    assert {(row["judge"], row["source"], row["simulator"]) for row in rows} == {(str(folder), "cosines", "cosine")}
    assert {row["feature"] for row in scored(rows)} == set(ALIVE)
    assert all(0 <= row["auc"] <= 1 and row["negatives"] == "silent" for row in scored(rows))
    assert [row.name for row in DESCRIBED[:1]] == sorted({row["name"] for row in rows})


def test_of_one_question_an_answer_is_not_constant(planted_site, tmp_path):
    with ModelServer() as server:
        rows = asked.run(planted_site, tmp_path, asked.settings(server.url, "intruder", features=2, examples=1))
    assert {(row["status"], row["accuracy"]) for row in rows if row["status"] != "dead"} == {("ok", 1.0)}

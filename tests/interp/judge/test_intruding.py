"""Intruders and embeddings, without a server."""

import json
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sparse_coding.interp.cases import Feature
from sparse_coding.interp.judge.classifying import classified_case
from sparse_coding.interp.judge.embedding import embedded
from sparse_coding.interp.judge.intruding import IntruderCase, found, intruder_case
from sparse_coding.interp.judge.ranking import auc
from sparse_coding.llm.answers import Cut, Unusable
from tests.interp import planted
from tests.model_mind import Mind

TOKENS = planted.tokens()
TEXT = planted.fragments(TOKENS)
SPARSE = planted.activations("token", TOKENS)
WORD = planted.VOCABULARY[planted.RARE]


def answer(text, **probabilities):
    top = [{"token": token, "logprob": math.log(share)} for token, share in probabilities.items()]
    tokens = [{"token": token, "top_logprobs": top if token in "0123456789" else []} for token in text]
    return {"choices": [{"message": {"content": text}, "logprobs": {"content": tokens} if top else None}]}


def test_the_four_are_marked_where_they_fire_and_the_intruder_elsewhere():
    case = intruder_case(TEXT, Feature(7, SPARSE), 20)
    assert isinstance(case, IntruderCase)
    for texts, place in zip(case.questions, case.places, strict=True):
        marks = [set(pieces[1::2]) for pieces in texts]
        assert [{piece.replace(WORD, "") for piece in marked} == {""} for marked in marks] == [
            number != place for number in range(5)
        ]
        assert len(texts[place]) in {len(pieces) for number, pieces in enumerate(texts) if number != place}
        assert WORD + " " not in "".join(texts[place]) + " "
    null = intruder_case(TEXT, Feature(7, SPARSE, shuffled=True), 20)
    assert sum(WORD in pieces[1::2] for texts in null.questions for pieces in texts) < 20
    assert intruder_case(TEXT, Feature(7, 0 * SPARSE), 20).status == "dead"


def test_an_answer_names_one_of_five_with_its_probability():
    shares = {"3": 0.5, "1": 0.25, "7": 0.15}
    assert found(answer('{"intruder":3}', **shares), 1) == (3, pytest.approx(0.25 / 0.75))
    assert found(answer('{"intruder":3}', **shares), 4) == (3, 0)
    assert found(answer('Here: {"intruder": "3"}'), 1) == (3, None)
    assert found(answer('{"intruder":3}', **{"3": 0.2, " the": 0.8}), 3) == (3, None)
    for text in ("3", '{"intruder":5}', '{"intruder":1} {"intruder":2}', "{}"):
        with pytest.raises(Unusable, match="no intruder from 0 to 4"):
            found(answer(text), 1)


def test_a_draft_inside_thoughts_is_no_choice_and_gives_no_probability():
    text = '<think>{"intruder":3}?</think>{"intruder":1}'
    likely = {text.index("3"): {"3": 0.9, "1": 0.1}, text.rindex("1"): {"1": 0.75, "3": 0.25}}
    entries = [
        {"token": letter, "top_logprobs": [
            {"token": token, "logprob": math.log(share)} for token, share in likely.get(place, {}).items()
        ]}
        for place, letter in enumerate(text)
    ]  # fmt: skip
    said = {"choices": [{"message": {"content": text}, "logprobs": {"content": entries}}]}
    assert found(said, 1) == (1, pytest.approx(0.75))
    said["choices"][0]["message"]["content"] = '{"intruder":1}'  # the server took them out of the text alone
    assert found(said, 1) == (1, pytest.approx(0.75))


@pytest.mark.parametrize("text", ["The first", 'It may be {"intruder":3}, but'])
def test_a_cut_answer_is_asked_for_with_more_room(text):
    with pytest.raises(Cut):
        found({"choices": [{"message": {"content": text}, "finish_reason": "length"}]}, 1)
    with pytest.raises(Unusable):
        found({"choices": [{"message": {"content": "The first"}, "finish_reason": "stop"}]}, 1)
    assert found({"choices": [{"message": {"content": '{"intruder":3'}, "finish_reason": "length"}]}, 3)[0] == 3


@pytest.mark.parametrize("values", [np.arange(40), np.arange(40) // 7, np.zeros(40)], ids=["distinct", "ties", "same"])
def test_auc_is_that_of_scikit_learn(values):
    truth = np.random.default_rng(0).random(40) < 0.4
    shuffled = np.random.default_rng(1).permutation(values).astype(float)
    assert auc(shuffled, truth) == pytest.approx(roc_auc_score(truth, shuffled))


def test_embeddings_that_know_rank_all_and_those_that_do_not_are_at_chance():
    vocabulary = {text.strip(): number for number, text in enumerate(planted.VOCABULARY)}
    random = np.random.default_rng(0)

    def knows(texts):
        counts = np.zeros((len(texts), len(vocabulary)))
        for row, text in zip(counts, texts, strict=True):
            np.add.at(row, [vocabulary[word] for word in text.split() if word in vocabulary], 1)
        return counts / np.linalg.norm(counts, axis=1, keepdims=True)

    def guesses(texts):
        vectors = random.normal(size=(len(texts), 8))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    cases = [classified_case("detection", TEXT, Feature(number, SPARSE), 20) for number in range(60)]
    known = [embedded(case, WORD, knows).auc for case in cases[:5]]
    assert min(known) > 0.97  # two such tokens in a row, or with a sign, are one word
    by_chance = [embedded(case, WORD, guesses).auc for case in cases]
    assert abs(np.mean(by_chance) - 0.5) < 3 * np.std(by_chance) / math.sqrt(len(by_chance))
    row = embedded(cases[0], WORD, lambda texts: np.ones((len(texts), 1)))
    assert (row.status, row.auc, row.negatives) == ("pred_constant", 0.5, "silent")


def test_the_known_model_finds_intruders():
    texts = ["a <<cat>> sat", "<<Cat>> food", "the<< cat>>", "a dog <<sat>>", "<<cat>> <<dog>>"]
    asked = "Texts:\n" + "\n".join(f"{number}: {json.dumps(text)}" for number, text in enumerate(texts))
    said = Mind().chat({"messages": [{"role": "user", "content": asked}], "logprobs": True, "top_logprobs": 15})
    assert found({"choices": [said]}, 3) == (3, pytest.approx(0.9 / (0.9 + 0.2 / 3)))

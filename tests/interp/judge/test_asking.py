"""What is asked, word by word, and what is made of answers: without a server."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.interp.cases import Feature
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.judge import choosing
from sparse_coding.interp.judge.classifying import ClassifiedCase, classified, classified_case
from sparse_coding.interp.judge.explaining import shown
from sparse_coding.interp.judge.marks import in_pieces, with_marks
from sparse_coding.interp.judge.questions import whole_numbers
from sparse_coding.interp.judge.simulating import unknown_places, values_at
from sparse_coding.interp.scores import FeatureScore
from sparse_coding.llm.answers import Unusable
from tests.interp import planted

TOKENS = planted.tokens()
TEXT = planted.fragments(TOKENS)
SPARSE = planted.activations("token", TOKENS)


def test_the_explainer_sees_levels_and_the_few_active_tokens_once_more():
    records = Records(np.array([[0, 1, 2]]), np.array([[0.0, 0.25, 1.2]], np.float32))
    few = Records(np.tile(np.arange(10), (1, 1)), np.eye(1, 10, 4, dtype=np.float32))
    vocabulary = [f" w{number}" for number in range(10)]
    assert shown(records, vocabulary) == '<start>\n" w0"\t0\n" w1"\t2\n" w2"\t10\n<end>'
    assert shown(few, vocabulary).endswith('<end>\n\nThe same without what is off:\n" w4"\t10')


def test_a_schema_has_all_keys_and_nothing_else():
    schema = whole_numbers(3, 9)
    assert schema["required"] == list(schema["properties"]) == ["0", "1", "2"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["0"]["enum"] == list(range(10))


@given(st.lists(st.text(max_size=4), min_size=1, max_size=12), st.data())
def test_pieces_put_together_are_the_text_and_every_second_is_marked(texts, data):
    marked = set(data.draw(st.lists(st.integers(0, len(texts) - 1))))
    pieces = in_pieces(texts, marked)
    assert "".join(pieces) == "".join(texts)
    assert "".join(pieces[1::2]) == "".join(texts[place] for place in sorted(marked))


@given(st.text(), st.text(), st.text())
def test_no_text_can_hold_a_mark(before, inside, after):
    shown = with_marks((before, inside, after))
    assert shown.count("<<") == shown.count(">>") == 1
    assert json.loads(shown) == f"{before}<<{inside}>>{after}"


@pytest.mark.parametrize("kind", ["detection", "fuzzing"])
def test_examples_are_of_both_kinds_and_none_was_shown(kind):
    case = classified_case(kind, TEXT, Feature(7, SPARSE), 10)
    assert isinstance(case, ClassifiedCase)
    assert case.truth.sum() == 10 == (~case.truth).sum()
    shown = {"".join(planted.VOCABULARY[token] for token in row) for row in case.train.tokens}
    assert not shown & {"".join(pieces) for pieces in case.texts}
    word = planted.VOCABULARY[planted.RARE]
    for pieces, positive in zip(case.texts, case.truth, strict=True):
        if kind == "detection":
            assert (word in {planted.VOCABULARY[token] for token in _row_of(pieces[0])}) == positive
        else:
            assert {piece.replace(word, "") for piece in pieces[1::2]} == {""} if positive else word not in pieces[1::2]


def _row_of(text):
    return next(row for row in TOKENS if "".join(planted.VOCABULARY[token] for token in row) == text)


def test_fuzzing_marks_as_many_wrong_tokens_as_there_are_right_ones():
    row = np.zeros(64, np.float32)
    row[[3, 9]] = 1
    wrong = choosing.wrong_marks(row, 2, feature=1, fragment=5, seed=0)
    assert len(set(wrong)) == 2
    assert not {3, 9} & set(wrong)
    assert np.array_equal(wrong, choosing.wrong_marks(row, 2, feature=1, fragment=5, seed=0))
    assert len(choosing.wrong_marks(np.ones(4, np.float32), 2, 0, 0, 0)) == 0


def test_what_fires_everywhere_cannot_be_detected_and_says_why():
    dense = np.ones(TOKENS.shape, np.float32)
    row = classified_case("detection", TEXT, Feature(0, dense), 10)
    assert isinstance(row, FeatureScore)
    assert (row.status, row.n_firing_fragments) == ("too_few", 400)
    assert "no 10 fragments of each kind" in row.reason
    dead = classified_case("fuzzing", TEXT, Feature(0, 0 * dense), 10)
    assert (dead.status, dead.reason) == ("dead", None)


@settings(max_examples=50)
@given(st.lists(st.booleans(), min_size=20, max_size=20))
def test_balanced_accuracy(said):
    case = classified_case("detection", TEXT, Feature(7, SPARSE), 10)
    row = classified(case, np.array(said))
    right = np.array(said) == case.truth
    assert row.balanced_accuracy == pytest.approx((right[case.truth].mean() + right[~case.truth].mean()) / 2)
    assert (row.status == "pred_constant") == (len(set(said)) == 1)
    if row.status == "pred_constant":
        assert row.balanced_accuracy == 0.5


def test_echoed_values_are_found_by_their_place():
    prompt = 'Feature: "x"\n<start>\n"a"\tunknown\n"b"\tunknown\n<end>'
    places = unknown_places(prompt, 2)
    assert [prompt[place : place + 7] for place in places] == ["unknown"] * 2
    half = float(np.log(0.5))
    tokens, likely = [], []
    for line in prompt.split("\t"):  # the tab and the value in one token
        head, tail = (line[7:], "\tunknown") if line.startswith("unknown") else (line, "")
        tokens += [tail, head] if tail else [head]
        likely += [{"\t2": half, "\t4": half}, None] if tail else [None]
    answer = {"choices": [{"logprobs": {"tokens": tokens, "top_logprobs": likely}}]}
    assert values_at(answer, places) == pytest.approx([3, 3])
    likely[1] = {"\tunknown": 0.0}
    with pytest.raises(Unusable, match="for digits"):
        values_at(answer, places)
    with pytest.raises(Unusable, match="without probabilities"):
        values_at({"choices": [{"text": prompt}]}, places)


@pytest.mark.parametrize(
    "answer",
    [{}, {"choices": [3]}, {"choices": {"a": 1}}, {"choices": [{"logprobs": [1]}]},
     {"choices": [{"logprobs": {"tokens": [1], "top_logprobs": [{}]}}]},
     {"choices": [{"logprobs": {"tokens": ["a" * 99], "top_logprobs": [[1]]}}]}],
    ids=json.dumps,
)  # fmt: skip
def test_an_echo_of_another_shape_cannot_be_used(answer):
    with pytest.raises(Unusable):
        values_at(answer, [3, 4])

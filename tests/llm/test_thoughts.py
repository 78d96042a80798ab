"""What of a text is the answer: neither thoughts nor marks of a template. And answers that were cut."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.llm.answers import Cut, Unusable, digit_mass, digits_of, expected_values, sentence_of, text_of
from sparse_coding.llm.thoughts import answer_span
from tests.llm.asking import answer_of

TAGS = [
    ("<think>", "</think>"), ("<THINK>", "</THINK>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷"), ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"), ("<|begin_of_thought|>", "<|end_of_thought|>"),
]  # fmt: skip
ENDS = ["<|im_end|>", "<|eot_id|>", "</s>", "<end_of_turn>", "<|endoftext|>\n", "<|im_end|>\n<|im_start|>user\nand?"]
HARMONY = "<|channel|>analysis<|message|>{}<|end|><|start|>assistant<|channel|>final<|message|>{}<|return|>"
THOUGHTS = st.text(max_size=60) | st.sampled_from(
    ['maybe {"0": 1, "1": 2}', "<think>", "a draft: words", "</think> no"]
)


@settings(max_examples=200)
@given(st.sampled_from(TAGS), THOUGHTS, st.sampled_from(["words about cats", 'both "a" and "b"']), st.booleans())
def test_what_stands_before_the_last_closing_tag_changes_nothing(tags, thoughts, said, is_opened):
    opening, closing = tags
    text = f"{opening if is_opened else ''}{thoughts}\n{closing}\n\n{said}"
    assert sentence_of(answer_of(text)) == sentence_of(answer_of(said)) == said


@settings(max_examples=100)
@given(st.sampled_from(TAGS), THOUGHTS, st.lists(st.integers(0, 9), min_size=1, max_size=4))
def test_drafts_inside_thoughts_are_no_values(tags, thoughts, values):
    written = json.dumps({str(key): value for key, value in enumerate(values)})
    draft = json.dumps({str(key): 9 - value for key, value in enumerate(values)})
    text = f"{tags[0]}{thoughts} {draft}\n{tags[1]}{written}"
    assert digits_of(answer_of(text), len(values)).tolist() == values


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("tags", TAGS, ids=lambda tags: tags[0])
def test_thoughts_that_do_not_end_are_no_answer(tags, finish):
    answer = answer_of(f'{tags[0]}Okay, the user wants a sentence, as {{"0": 1}}', finish_reason=finish)
    for read in (text_of, sentence_of, lambda it: digits_of(it, 1)):
        with pytest.raises(Cut if finish == "length" else Unusable, match="nothing but thoughts"):
            read(answer)


@pytest.mark.parametrize("end", ENDS)
def test_what_ends_a_turn_is_cut_off(end):
    assert sentence_of(answer_of(f"words about cats{end}")) == "words about cats"


@given(THOUGHTS.filter(lambda text: "<" not in text))
def test_of_harmonys_channels_the_final_one_is_the_answer(thoughts):
    assert sentence_of(answer_of(HARMONY.format(thoughts, "words about cats"))) == "words about cats"


def test_a_channel_without_a_final_one_is_no_answer():
    with pytest.raises(Unusable, match="nothing but thoughts"):
        text_of(answer_of("<|channel|>analysis<|message|>We need one sentence"))


@pytest.mark.parametrize("text", ['the tag "</think>" and what follows', "closing tags such as `</think>` in logs"])
def test_an_explanation_may_be_about_tags(text):
    assert sentence_of(answer_of(text)) == text


@given(st.text(alphabet="<>/|think[]TK \"'`a", max_size=60))
def test_a_span_lies_in_its_text(text):
    span = answer_span(text)
    assert span is None or 0 <= span[0] <= span[1] <= len(text)


# --- Cut answers ---


def test_a_cut_explanation_is_none():
    with pytest.raises(Cut, match="cut at its longest: words about"):
        sentence_of(answer_of("words about", finish_reason="length"))


def test_values_that_are_whole_may_be_cut_behind_them():
    assert digits_of(answer_of('{"0": 1, "1": 2} I chose', finish_reason="length"), 2).tolist() == [1, 2]
    with pytest.raises(Cut, match="1 values of 2"):
        digits_of(answer_of('{"0": 1, "1"', finish_reason="length"), 2)


# --- Little mass on digits ---


def listed(text, mass):
    """Each letter a token; a digit has `mass` among the likeliest, `x` the rest."""
    tokens = [
        {
            "token": letter,
            "top_logprobs": [{"token": letter, "logprob": math.log(mass)}, {"token": "x", "logprob": -1.0}],
        }
        for letter in text
    ]
    return answer_of(text, logprobs={"content": tokens})


@pytest.mark.parametrize("mass", [0.9, 0.3, 0.01])
def test_the_mass_on_digits_is_told_from_no_probabilities(mass):
    text = '{"0":9,"1":3}'
    assert digit_mass(listed(text, mass), 2) == pytest.approx(mass)
    assert (expected_values(listed(text, mass), 2) is None) == (mass < 0.5)
    assert digit_mass(answer_of(text), 2) is None

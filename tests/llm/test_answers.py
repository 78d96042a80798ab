"""What answers say, whatever they look like."""

import json
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.llm.answers import (
    SHOWN,
    Cut,
    Unusable,
    digits_of,
    expected_digit,
    expected_values,
    sentence_of,
    text_of,
)
from tests.llm.asking import answer_of

SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JUNK = st.recursive(SCALAR, lambda it: st.lists(it, max_size=3) | st.dictionaries(
    st.sampled_from(["choices", "message", "content", "logprobs", "top_logprobs", "token", "logprob", "refusal"]),
    it, max_size=4), max_leaves=10)  # fmt: skip
TOP = st.lists(st.fixed_dictionaries({"token": JUNK, "logprob": JUNK}) | JUNK, max_size=3) | JUNK
TOKENS = st.lists(st.fixed_dictionaries({"token": st.sampled_from(['{"', "0", '":', "9", "}"]), "top_logprobs": TOP})
                  | JUNK, max_size=6)  # fmt: skip
VALUE = st.text(alphabet='{}"01289:.,-e \n٣é\ud800', max_size=30) | st.just('{"0": 9}')
CHOICE = st.fixed_dictionaries(
    {},
    optional={"message": st.fixed_dictionaries({"content": VALUE | JUNK}, optional={"refusal": JUNK}) | JUNK,
              "finish_reason": JUNK, "logprobs": st.fixed_dictionaries({"content": TOKENS | JUNK}) | JUNK},
)  # fmt: skip
ANSWER = st.fixed_dictionaries({"choices": st.lists(CHOICE, max_size=2) | JUNK}) | st.dictionaries(
    st.text(max_size=3), JUNK, max_size=2
)


@settings(max_examples=120)
@given(ANSWER, st.integers(1, 2))
def test_junk_is_unusable_at_worst(answer, n):
    reasons: list[str] = []
    for read in (text_of, sentence_of, lambda it: digits_of(it, n), lambda it: expected_values(it, n)):
        try:
            read(answer)
        except Unusable as error:
            reasons.append(str(error))
    assert all(len(reason) < 300 for reason in reasons)


@pytest.mark.parametrize("choices", [{"0": 1}, {0: {}}, "text", 5, True, [], [None], ["x"], [[1]], None])
def test_no_choices(choices):
    with pytest.raises(Unusable, match="no choices"):
        text_of({"choices": choices})


@pytest.mark.parametrize(
    ("choice", "reason"),
    [({"message": {"content": "x", "refusal": "I won't"}}, "refused: I won't"),
     ({"message": {"content": "x"}, "finish_reason": "content_filter"}, "withheld by a content filter"),
     ({"message": {"content": " \n"}}, "empty answer"), ({"message": {"content": [{"text": "x"}]}}, "empty answer"),
     ({"message": "x"}, "empty answer"), ({"message": ["x"]}, "empty answer"), ({}, "empty answer"),
     ({"message": {"content": None}, "finish_reason": "length"}, "cut at its longest.*reasoning_tokens")],
)  # fmt: skip
def test_no_text(choice, reason):
    with pytest.raises(Unusable, match=reason):
        text_of({"choices": [choice]})


def test_halves_of_surrogate_pairs_do_not_get_further():
    sentence_of(answer_of("words \ud800 and \udc00")).encode()


GOOD = '{"0": 1, "1": 9, "2": 0}'
SHAPES = [
    GOOD, GOOD.replace(" ", ""), GOOD.replace(" ", "\n\t"), f"```json\n{GOOD}\n```", f'{{"values": {GOOD}}}',
    f"Sure! There are 3 of 3, as 1: 5 says.\n\n```\n{GOOD}```\nHope it helps: 7.", '{"2": "0", "0": "1", "1": "9"}',
    '{"0": 1, "1": 9, "2": 0', '{"0": 1, "1": 9, "2": 0,}', '"0": 1\n"1": 9\n"2": 0',
]  # fmt: skip


@pytest.mark.parametrize("text", SHAPES)
def test_digits_are_found(text):
    assert digits_of(answer_of(text), 3).tolist() == [1, 9, 0]


LONG = "9" * 5000
BAD = [
    "none", "[1, 9, 0]", '{"0": 1, "1": 9}', '{"0": 1, "1": 9, "3": 0}', '{"0": 1, "1": 9, "2": 0, "3": 0}',
    '{"0": 1, "1": 9, "1": 9}', '{"0": 1, "1": 9, "2": 0, "2": 0}', GOOD + GOOD, '{"0": 1, "1": 9, "2": 10}',
    '{"0": 1, "1": 9, "2": -1}', '{"0": 1, "1": 9, "2": 0.5}', '{"0": 1, "1": 9.0, "2": 0}', GOOD[:-2] + "1e1}",
    '{"0": 1, "1": 9, "2": 9e5}', '{"0": 1, "1": 9, "2": 8/9}', '{"0": 1, "1": 9, "2": null}',
    '{"0": 1, "1": 9, "2": true}', '{"0": 1, "1": 9, "2": {"0": 1}}', '{"0": {"v": 1}, "1": {"v": 9}, "2": {"v": 0}}',
    '{"0": 1, "1": 9, "2": [0]}', '{"0": 1, "1": 9, "02": 0}', '{"0": 1, "1": 9, "2": ٣}', '{"0": 1, "1": 9, "٢": 0}',
    f'{{"0": 1, "1": 9, "2": {LONG}}}', f'{{"0": 1, "1": 9, "{LONG}": 0}}', f'{{"0": 1, "1": 9, "2": 0, "{LONG}": 0}}',
    '{"0": 1, "1": 9, "2": "0 x"', '{"0": 1, "1": 9, "2": "high"}', '{"a": 1, "b": 9, "c": 0}',
]  # fmt: skip


@pytest.mark.parametrize("text", [text for text in BAD if '"0 x"' not in text], ids=lambda text: text[:40])
def test_what_is_no_answer(text):
    with pytest.raises(Unusable) as error:
        digits_of(answer_of(text), 3)
    assert len(str(error.value)) < SHOWN + 80


def test_highest():
    assert digits_of(answer_of('{"0": 1}'), 1, highest=1).tolist() == [1]
    with pytest.raises(Unusable, match="a value of 2; wanted 0 to 1"):
        digits_of(answer_of('{"0": 2}'), 1, highest=1)
    with pytest.raises(Unusable, match="cut at its longest"):
        digits_of(answer_of('{"0": 2', finish_reason="length"), 2)


DRAFT = 'Let me see: {"0": 3, "1": 4} may do, but the second'


@pytest.mark.parametrize(
    ("text", "reason", "is_cut"),
    [(DRAFT, "length", True), (DRAFT, "stop", False), (f"{DRAFT}</think>" + '{"0": 1, "1": 2', "length", False),
     ('{"0": 3, "1": 4} as the second', "length", False), ('Here: ```json {"0": 3, "1": 4}\n', "length", False),
     ('```json\n{"0": 3, "1": 4}\n``` The second', "length", False)],
)  # fmt: skip
def test_thoughts_without_a_mark_that_were_cut_are_no_values(text, reason, is_cut):
    """What is at the beginning or at the end is the answer."""
    answer = answer_of(text, finish_reason=reason)
    if not is_cut:
        assert len(digits_of(answer, 2)) == 2
        return
    with pytest.raises(Cut, match="2 values of 2, cut at its longest"):
        digits_of(answer, 2)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=12), st.randoms(), st.sampled_from(["", " ", "\n  "]))
def test_any_order(values, random, space):
    pairs = [f'"{key}":{space}{value}' for key, value in enumerate(values)]
    random.shuffle(pairs)
    assert digits_of(answer_of("{" + f",{space}".join(pairs) + "}"), len(values)).tolist() == values


# --- Probabilities ---


def listed(text, cuts, shares):
    """Tokens of `text`, cut at `cuts`; each that holds a value lists the digits of `shares` in its place."""
    edges = [0, *sorted(cuts), len(text)]
    tokens = []
    for start, end in pairwise(edges):
        top = {text[start:end]: 0.0}
        for place, likely in shares.items():
            if start <= place < end:
                top = {text[start:place] + digit + text[place + 1 : end]: math.log(p) for digit, p in likely.items()}
        listed_top = [{"token": token, "logprob": logprob} for token, logprob in top.items()]
        tokens.append({"token": text[start:end], "logprob": 0.0, "top_logprobs": listed_top})
    return answer_of(text, logprobs={"content": tokens})


@given(st.data())
def test_expected_values_are_aligned_whatever_the_tokens(data):
    values = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=5))
    space = data.draw(st.sampled_from(["", " ", "\n"]))
    before, after = data.draw(st.sampled_from([("", ""), ("Here: 1\n```json\n", "\n```")]))
    text, places = before + "{", []
    for key, value in enumerate(values):
        text += ("," + space if key else "") + f'"{key}":{space}'
        places.append(len(text))
        text += str(value)
    text += "}" + after
    shares, wanted = {}, []
    for place in places:
        other = data.draw(st.integers(0, 9))
        p = data.draw(st.floats(0.55, 0.99))
        digit = text[place]
        likely = {digit: p, "x": 0.005} if str(other) == digit else {digit: p, str(other): (1 - p) / 2, "x": 0.005}
        shares[place] = likely
        digits = {key: share for key, share in likely.items() if key != "x"}
        wanted.append(sum(int(key) * share for key, share in digits.items()) / sum(digits.values()))
    cuts = data.draw(st.sets(st.integers(1, len(text) - 1)))
    # A token that holds two values cannot tell both apart: cut between them.
    for one, other in pairwise(places):
        if not any(one < cut <= other for cut in cuts):
            cuts |= {data.draw(st.integers(one + 1, other))}
    got = expected_values(listed(text, cuts, shares), len(values))
    assert got is not None
    np.testing.assert_allclose(got, wanted, rtol=1e-9)


@pytest.mark.parametrize(("mass", "is_known"), [(0.51, True), (0.49, False)])
def test_hardly_digits(mass, is_known):
    text = '{"0":9,"1":3,"2":1}'
    places = [text.index(f'":{digit}') + 2 for digit in "931"]
    shares = {place: {text[place]: mass, "x": 1 - mass} for place in places}
    got = expected_values(listed(text, range(1, len(text)), shares), 3)
    assert (got is not None) == is_known
    if got is not None:
        assert got.tolist() == [9, 3, 1]


def test_the_median_decides_but_each_needs_some():
    text = '{"0":9,"1":3,"2":1}'
    places = [text.index(f'":{digit}') + 2 for digit in "931"]
    shares = {places[0]: {"9": 0.9}, places[1]: {"3": 0.9}, places[2]: {"1": 0.01}}
    assert expected_values(listed(text, range(1, len(text)), shares), 3) is not None
    shares[places[2]] = {"x": 1.0}
    assert expected_values(listed(text, range(1, len(text)), shares), 3) is None


@pytest.mark.parametrize(
    "top", [None, [], 5, [None], [{"token": "9"}], [{"logprob": 0.0}], [{"token": 9, "logprob": "0"}]]
)
def test_no_probabilities(top):
    tokens = [{"token": token, "top_logprobs": top} for token in ('{"', "0", '":', "9", "}")]
    assert expected_values(answer_of('{"0":9}', logprobs={"content": tokens}), 1) is None
    for nothing in (None, {}, [], 5, {"content": None}, {"content": []}, {"content": {}}):
        assert expected_values(answer_of('{"0":9}', logprobs=nothing), 1) is None
    assert expected_values(answer_of('{"0":9}'), 1) is None


@pytest.mark.parametrize(
    ("likely", "token", "place", "wanted"),
    [({"9": 0.6, "8": 0.2, "x": 0.2}, "9", 0, (0.6 * 9 + 0.2 * 8) / 0.8),
     ({":9,": 0.5, ":8,": 0.25, ":8": 0.1, "7": 0.125}, ":9,", 1, (4.5 + 2 + 0.875) / 0.875),
     ({" 9": 0.5, "9": 0.1, " 1": 0.4}, " 9", 1, 5.4 + 0.4),
     ({"\t3": 0.5, "\tunknown": 0.5}, "\tunknown"[:2], 1, 3.0),
     ({"10": 0.5, "٣": 0.2, "²": 0.1, "1": 0.2}, "1", 0, 1.0), ({"a": 1.0}, "9", 0, math.nan), ({}, "9", 0, math.nan)],
)  # fmt: skip
def test_expected_digit_by_hand(likely, token, place, wanted):
    value, mass = expected_digit({text: math.log(p) for text, p in likely.items()}, token, place)
    assert value == pytest.approx(wanted, nan_ok=True)
    assert 0 <= mass <= 1 + 1e-9
    assert (mass == 0) == math.isnan(wanted)


@given(st.dictionaries(st.text(max_size=3) | st.integers(), JUNK | st.integers(-(10**400), 10**400), max_size=6))
def test_strange_probabilities(likely):
    value, mass = expected_digit(likely, ":9", 1)
    assert math.isnan(value) or 0 <= value <= 9
    assert math.isfinite(mass)


# --- Sentences ---

SENTENCES = [
    ("words about cats", "words about cats"), ("Explanation: words\nabout  cats ", "words about cats"),
    ("**Explanation:** words", "words"), ("explanation : words", "words"), ('"words about cats"', "words about cats"),
    ("Feature: words", "words"), ("`words`", "words"), ("The explanation: words", "words"), ("'words'", "words"),
    ("Explanation:\n\n\"words\"", "words"), ("features of cats", "features of cats"),
    ("explanations of terms", "explanations of terms"), ('"cat" and "dog"', '"cat" and "dog"'),
    ("feature names in code", "feature names in code"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sentence"), SENTENCES)
def test_sentences(text, sentence):
    assert sentence_of(answer_of(text)) == sentence


HONEST = [
    '"I am sorry" and other apologies', "sorry and other apologies", "sorry, excuse me and other apologies",
    '"I can\'t", "I cannot" and other refusals', "I can't and similar contractions", "I as a pronoun",
    "I'm, you're and other contractions", "unable to and other phrases of inability", "very sorry people",
    "as an AI would speak: disclaimers", "I am unable to or I cannot: inability", "I won't or similar",
    '"unable to" before verbs', "words of a sorry state", '"As an AI" at the start of answers',
]  # fmt: skip
REFUSED = [
    "I'm sorry, but I can't help with that.", "I’m sorry, I can’t assist with that request.", "Sorry, I cannot do it.",
    "I am very sorry, but this is not something I can explain.", "I am sorry. I cannot say.", "Sorry but I can't.",
    "I can't help with that.", "I cannot determine a pattern.", "I won't explain this.", "I'm unable to find a pattern",
    "I am not able to tell.", "Unable to determine what this feature is.", "As an AI language model, I cannot",
    "Unfortunately, I can't help.", "As an AI, my abilities are limited.", "\"I'm sorry, but I can't help with that.\"",
    "Explanation: I'm sorry, but I can't help.", "I'M SORRY, BUT I CAN'T",
]  # fmt: skip


@pytest.mark.parametrize("text", HONEST)
def test_honest_explanations_are_not_refused(text):
    assert sentence_of(answer_of(text)) == text


@pytest.mark.parametrize("text", REFUSED)
def test_refusals(text):
    with pytest.raises(Unusable, match="refused"):
        sentence_of(answer_of(text))


@given(st.text())
def test_a_sentence_is_a_line(text):
    try:
        sentence = sentence_of(answer_of(json.loads(json.dumps(text))))
    except Unusable:
        return
    assert sentence == " ".join(sentence.split()) != ""

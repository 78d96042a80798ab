"""By what a question is known, and the most that it can cost."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.llm.request import Request
from tests.llm.asking import chat

TEXT = st.text(st.characters())  # any, also control characters and halves of surrogate pairs
URL = "http://a/v1"


@given(st.lists(TEXT, max_size=5))
def test_the_prompt_has_no_more_tokens_than_bytes(texts):
    request = Request("chat/completions", {"model": "m", "messages": [{"role": "user", "content": it} for it in texts]})
    assert request.most_prompt_tokens >= sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    echo = Request("completions", {"model": "m", "prompt": "".join(texts)})
    assert echo.most_prompt_tokens >= len("".join(texts).encode("utf-8", "surrogatepass"))


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
                      | TEXT, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
                      max_leaves=8)  # fmt: skip


def reordered(value):
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(each) for each in value] if isinstance(value, list) else value


@settings(max_examples=40)
@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_the_key_knows_no_order(body):
    body["model"] = "m"
    again = Request("chat/completions", reordered(body))
    assert Request("chat/completions", body).key(URL) == again.key(URL)


def canonical(value):
    """JSON knows 1 and 1.0 and True apart."""
    return json.dumps(value, sort_keys=True)


@settings(max_examples=40)
@given(st.dictionaries(TEXT, VALUES, max_size=3), st.dictionaries(TEXT, VALUES, max_size=3))
def test_different_questions_have_different_keys(one, other):
    keys = {Request("chat/completions", body).key(URL) for body in (one, other)}
    assert len(keys) == len({canonical(one), canonical(other)})


def test_the_key_depends_on_each_part():
    request = chat(1)
    assert request.key(URL) == request.key(URL + "/") == chat(1).key(URL)
    others = [
        request.key("http://a/v2"),
        request.key("http://b/v1"),
        Request("completions", request.body).key(URL),
        Request("chat/completions", request.body, attempt=1).key(URL),
        chat(2).key(URL),
        chat(1, model="n").key(URL),
        chat(1, seed=2).key(URL),
        chat(1, temperature=0.1).key(URL),
        chat(1, logprobs=True).key(URL),
    ]
    assert len({request.key(URL), *others}) == 1 + len(others)
    assert all(len(key) == 64 and set(key) <= set("0123456789abcdef") for key in others)


def test_again_is_another_question():
    cold, warm = chat(temperature=0.0), chat(temperature=0.9)
    assert cold.again(0) == cold
    assert cold.again(1).body == {**cold.body, "seed": 2, "temperature": 0.5}
    assert cold.again(2).body["seed"] == 3
    assert warm.again(1).body["temperature"] == 0.9
    assert len({cold.again(attempt).key(URL) for attempt in range(5)}) == 5
    assert cold.body["seed"] == 1  # the first is as it was
    assert (cold.model, cold.most_completion_tokens) == ("m", 50)

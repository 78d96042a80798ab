"""What servers say where a question does not fit: their own words, and the numbers in them."""

import pytest

from sparse_coding.llm.faults import CallFailed
from sparse_coding.llm.manners import room_left
from sparse_coding.llm.overflow import Overflow, overflow_of
from tests.llm.asking import Desk, chat, raw_server, reply

OPENAI = ("This model's maximum context length is 8192 tokens. However, you requested 9,300 tokens (9000 in the "
          "messages, 300 in the completion). Please reduce the length of the messages or completion.")  # fmt: skip
SAID = [
    ({"type": "exceed_context_size_error", "n_prompt_tokens": 900, "n_ctx": 512, "code": 400},
     "the request exceeds the available context size, try increasing it", 900, 512),  # llama.cpp
    ({}, "request (900 tokens) exceeds the available context size (512 tokens), try increasing it", 900, 512),
    ({"code": "context_length_exceeded"}, OPENAI, 9300, 8192),
    ({}, "This model's maximum context length is 4097 tokens. However, your messages resulted in 5000 tokens.",
     5000, 4097),
    ({}, "'max_tokens' or 'max_completion_tokens' is too large: 600. This model's maximum context length is 512 tokens "
         "and your request has 300 input tokens (600 > 512 - 300).", 900, 512),  # vLLM
    ({}, "This model's maximum context length is 512 tokens. However, you requested 100 output tokens and your prompt "
         "contains at least 413 input tokens, for a total of at least 513 tokens.", 513, 512),  # vLLM, later
    ({}, "This model's maximum context length is 512 tokens and your request has 300 input tokens.", None, 512),
    ({}, "The decoder prompt (length 3000) is longer than the maximum model length of 2048.", 3000, 2048),
    ({}, "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of "
         "5000 tokens: 4500 tokens from the input messages and 500 tokens for the completion.", 5000, 4096),  # SGLang
    ({}, "The input (5000 tokens) is longer than the model's context length (4096 tokens).", 5000, 4096),
    ({}, "prompt is too long: 213462 tokens > 200000 maximum", 213462, 200000),
    ({}, "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576).", 1100000, 1048576),
    ({"code": "string_above_max_length"}, "Invalid 'messages[0].content': string too long.", None, None),
]  # fmt: skip


@pytest.mark.parametrize(("error", "said", "needed", "room"), SAID, ids=[row[1][:30] for row in SAID])
def test_the_numbers_of_many_servers(error, said, needed, room):
    assert overflow_of(error, said) == Overflow(needed, room)


@pytest.mark.parametrize(
    "said", ["Invalid request.", "Unsupported parameter: 'max_tokens'.", "Rate limit reached: 9000 tokens per min.", ""]
)
def test_what_is_about_something_else(said):
    assert overflow_of({"code": None, "type": None}, said) is None


def test_in_words():
    assert str(Overflow(9300, 8192)) == "a context of 8,192 tokens, where 9,300 are needed"
    assert str(Overflow()) == "a context that is too small"


@pytest.mark.parametrize("status", [400, 413, 500])
def test_it_is_not_sent_again_in_any_form(tmp_path, status):
    body = b'{"error": {"code": 400, "message": "too big", "type": "exceed_context_size_error", "n_prompt_tokens": 9,' \
           b' "n_ctx": 8}}'  # fmt: skip
    with raw_server(reply(body, status)) as server:
        (failed,) = Desk(tmp_path, server.url).ask(chat())
        assert isinstance(failed, CallFailed)
        assert (failed.by, failed.overflow, failed.reason) == ("context", Overflow(9, 8), f"HTTP {status}: too big")
        assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("usage", "room"),
    [({"prompt_tokens": 30, "completion_tokens": 10}, Overflow(80, 40)),
     ({"prompt_tokens": 30, "completion_tokens": 50}, None),
     ({"prompt_tokens": 30, "completion_tokens": 10, "total_tokens": 80}, None),  # thoughts count in the sum alone
     ({"completion_tokens": 10}, None), ({"prompt_tokens": "30", "completion_tokens": 10}, None), (None, None)],
)  # fmt: skip
def test_an_answer_that_might_be_longer_was_cut_by_the_server(usage, room):
    assert chat().most_completion_tokens == 50
    assert room_left(chat(), {"usage": usage}) == room

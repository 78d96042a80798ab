"""The server that tests of language models ask, as its client sees it."""

import asyncio
import json
import math
from itertools import accumulate
from typing import Any

import openai
import pytest

from tests.model_server import KINDS, Fault, ModelServer

FEATURE = 'Feature: "words \\"cat\\", \\"dog\\""'
EXPLAIN = '<start>\n" cat"\t8\n"the"\t0\n"dog"\t4\n<end>\nor\n<start>\n" the"\t1\n<end>\nSame:\n"the"\t10\n'
SIMULATE = FEATURE + '\nTokens:\n0: " Cat"\n1: "the"\n2: "dog"\n'
DETECT = FEATURE + '\nExamples:\n0: "a catalogue"\n1: "the\\n"\n'
FUZZ = FEATURE + '\nExamples:\n0: "the << cat>> sat"\n1: "<<the>> cat"\n'
PER_TOKEN = FEATURE + '\nBefore: "the"\nToken: " cat"\n'
ECHO = 'Feature: "x"\n<start>\n"cat"\t10\n<end>\n' + FEATURE + '\n<start>\n"the"\tunknown\n"cat"\tunknown\n<end>\n'
SIMULATED = {"0": 9, "1": 0, "2": 9}
SCHEMA = {"type": "object", "properties": {}, "required": ["2", "0"]}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "values", "strict": True, "schema": SCHEMA}}


def _chat(server: ModelServer, content: str = SIMULATE, **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": text} for text in (EXPLAIN, content)]
    with openai.OpenAI(base_url=server.url, api_key="sk-secret", max_retries=0) as client:
        return client.chat.completions.create(model="m", messages=messages, **fields)


def _said(answer: Any) -> Any:
    return answer.choices[0].message.content


ANSWERS = [
    (EXPLAIN, 'words "cat", "dog"'), (EXPLAIN.replace("8", "1").replace("4", "0"), 'nothing ""'),
    (SIMULATE, '{"0":9,"1":0,"2":9}'), (DETECT, '{"0":1,"1":0}'), (FUZZ, '{"0":1,"1":0}'),
    (PER_TOKEN, "9"), (PER_TOKEN.replace('" cat"', '"the"'), "0"),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "said"), ANSWERS)
def test_says(asked: str, said: str) -> None:
    with ModelServer() as server:
        answer, cut = _chat(server, asked), _chat(server, asked, max_tokens=2)
    assert (_said(answer), answer.choices[0].finish_reason) == (said, "stop")
    assert answer.usage.prompt_tokens == math.ceil(len(EXPLAIN + asked) / 4)
    assert answer.usage.completion_tokens == math.ceil(len(said) / 4) + 1
    assert (_said(cut), cut.usage.completion_tokens) == (said[:8], 2)


def test_manners() -> None:
    wish: Any = {"logprobs": True, "top_logprobs": 5, "response_format": FORMAT}
    with ModelServer(digit_spread=0.6) as server:
        tokens = _chat(server, **wish).choices[0].logprobs.content
        assert "".join(token.token for token in tokens) == '{"2":9,"0":9}'  # as the schema wishes
        shares = {top.token: math.exp(top.logprob) for top in tokens[-2].top_logprobs}
        assert shares == pytest.approx({"9": 0.6, "8": 0.2, " unknown": 0.2})
    with ModelServer(no_digits=True) as server:
        tokens = _chat(server, **{**wish, "top_logprobs": 1}).choices[0].logprobs.content
        assert [top.token for top in tokens[-2].top_logprobs] == [" unknown"]
    with ModelServer(ignores={"logprobs", "response_format"}) as server:
        answer = _chat(server, **wish)
        assert (answer.choices[0].logprobs, json.loads(_said(answer))) == (None, SIMULATED)
    with ModelServer(prose=True) as server:
        answer = _chat(server, **wish)
        assert json.loads(_said(answer).split("```")[1].removeprefix("json")) == SIMULATED
        assert "".join(token.token for token in answer.choices[0].logprobs.content) == _said(answer)


@pytest.mark.parametrize(("is_merged", "tab"), [(False, ""), (True, "\t")])
def test_echo(is_merged: bool, tab: str) -> None:
    with ModelServer(merged_tab=is_merged) as server:
        client = openai.OpenAI(base_url=server.url, api_key="any", max_retries=0)
        (choice,) = client.completions.create(model="m", prompt=ECHO, echo=True, logprobs=5, max_tokens=0).choices
    listed: Any = choice.logprobs
    assert choice.text == ECHO == "".join(listed.tokens)
    assert listed.text_offset == list(accumulate(map(len, listed.tokens), initial=0))[:-1]
    assert (listed.top_logprobs[0], listed.token_logprobs[0]) == (None, None)
    the, cat = [top for top in listed.top_logprobs if top and f"{tab}unknown" in top]
    assert the.keys() == {f"{tab}0", f"{tab}1", " unknown", f"{tab}unknown"}
    assert [math.exp(the[f"{tab}0"]), math.exp(cat[f"{tab}9"])] == pytest.approx([0.9, 0.9])


SAYS = {
    "null": None, "malformed": "sorry, here it is: {not json", "truncated": '{"0":9,"1', "empty": "", "refusal": None,
    "no_room": '{"0":9,"1', "thinks": "<think>Okay, the user wants one short sentence about",
    "refusal_text": "I'm sorry, but I can't help with that.", "wrong_count": '{"0":9,"1":0}',
    "extra": '{"0":9,"1":0,"2":9,"3":0}', "zeros": '{"0":0,"1":0,"2":0}', "out_of_range": '{"0":37,"1":37,"2":37}',
    "no_usage": '{"0":9,"1":0,"2":9}', "error_in_choice": "",
}  # fmt: skip
RAISES = {
    "rate": (openai.RateLimitError, "rate_limit_exceeded"), "quota": (openai.RateLimitError, "insufficient_quota"),
    "key": (openai.AuthenticationError, "sk-secret"), "forbidden": (openai.PermissionDeniedError, ""),
    "flagged": (openai.PermissionDeniedError, "flagged"), "key_limit": (openai.PermissionDeniedError, "limit"),
    "filtered": (openai.BadRequestError, "content_filter"),
    "model": (openai.NotFoundError, "model_not_found"), "server": (openai.InternalServerError, "500"),
    "busy": (openai.InternalServerError, "503"), "gateway": (openai.InternalServerError, "Bad Gateway"),
    "slow": (openai.APITimeoutError, ""), "drop": (openai.APIConnectionError, ""),
    "half": (openai.APIConnectionError, ""), "undecodable": (json.JSONDecodeError, ""),
    "bad_request": (openai.BadRequestError, "Invalid request."), "too_long": (openai.BadRequestError, "context_length"),
}  # fmt: skip


@pytest.mark.parametrize("kind", SAYS)
def test_spoilt_answers(kind: str) -> None:
    with ModelServer([Fault(kind), None]) as server:
        answer, good = _chat(server), _chat(server)
        assert [asked.answered for asked in server.asked] == [True, True]
    assert (_said(answer), json.loads(_said(good))) == (SAYS[kind], SIMULATED)
    (choice,) = answer.choices
    told = [choice.message.refusal, choice.finish_reason == "length", not answer.usage]
    is_cut = kind in ("truncated", "no_room", "thinks")
    assert [bool(it) for it in told] == [kind == "refusal", is_cut, kind == "no_usage"]


@pytest.mark.parametrize("kind", RAISES)
def test_failures(kind: str) -> None:
    error, words = RAISES[kind]
    with ModelServer(lambda _, number: None if number else Fault(kind, seconds=60)) as server:
        with pytest.raises(error) as raised:
            _chat(server, timeout=0.2 if kind == "slow" else 60)
        assert words in f"{raised.value} {getattr(raised.value, 'body', '')}"
        assert json.loads(_said(_chat(server))) == SIMULATED
        assert [asked.answered for asked in server.asked] == [False, True]


def test_headers_and_choices() -> None:
    assert {*SAYS, *RAISES, "no_choices", "error_in_place"} == KINDS
    faults = [Fault("error_in_place"), Fault("no_choices"), Fault("rate", retry_after=7, retry_after_ms=30)]
    with ModelServer(faults) as server:
        assert (_chat(server).choices, _chat(server).choices) == (None, [])
        with pytest.raises(openai.APIStatusError) as raised:
            _chat(server)
    assert {("retry-after", "7"), ("retry-after-ms", "30")} <= set(raised.value.response.headers.items())


@pytest.mark.parametrize(("vague", "param"), [(False, "seed"), (True, None)])
def test_rejects(vague: bool, param: str | None) -> None:
    with ModelServer(rejects={"seed"}, vague=vague) as server, pytest.raises(openai.BadRequestError) as raised:
        _chat(server, seed=0)
    assert (raised.value.param, "seed" in str(raised.value)) == (param, not vague)


async def _at_once(server: ModelServer, n: int) -> list[str]:
    message: Any = {"role": "user", "content": PER_TOKEN}
    async with openai.AsyncOpenAI(base_url=server.url, api_key="sk-secret", max_retries=0) as client:
        await asyncio.gather(*(client.chat.completions.create(model="m", messages=[message]) for _ in range(n)))
        return [model.id async for model in client.models.list()]


def test_keeps_a_record() -> None:
    with ModelServer(key="sk-other") as server, pytest.raises(openai.AuthenticationError, match="sk-secret"):
        _chat(server)
    with ModelServer(key="sk-secret", latency=0.1, models=["test-model"]) as server:
        assert asyncio.run(_at_once(server, 8)) == ["test-model"]
        posts, (listing,) = server.asked, server.looked
        assert [asked.body["messages"][0]["content"] for asked in posts] == [PER_TOKEN] * 8
        assert all(asked.answered and asked.key == "sk-secret" for asked in posts)
        assert (listing.path, 1 < server.most_at_once <= 8) == ("/v1/models", True)

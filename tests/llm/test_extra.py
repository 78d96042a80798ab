"""What users send beside what is set here."""

import pytest

from sparse_coding.interp.judge.questions import Style
from sparse_coding.llm.faults import ServerStops
from sparse_coding.llm.request import Request
from sparse_coding.settings.params import Llm
from tests.llm.asking import TOKEN, Desk, full, said
from tests.model_server import ModelServer

EXTRA = {"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}, "provider": [1, 2.5, None]}
ECHO = 'Feature: "x"\n"a"\tunknown'


def questions(extra) -> list[Request]:
    style = Style(0.0, 1, 0, True, extra)
    return [style.chat("m", [{"role": "user", "content": TOKEN}], 50), style.echo("m", ECHO)]


def test_it_is_sent_as_it_stands_with_every_question(tmp_path):
    with ModelServer() as server:
        desk = Desk(tmp_path, server.url)
        desk.ask(*questions(EXTRA))
        plain = {path: body for path, body in ((each.path, each.body) for each in server.asked)}
        assert all(EXTRA.items() <= body.items() for body in plain.values())
        server.forget()
        desk.ask(*questions({}))
        assert len(server.asked) == 2  # other questions
        for asked in server.asked:
            assert asked.body == {name: value for name, value in plain[asked.path].items() if name not in EXTRA}


def test_what_is_set_here_is_not_overridden():
    for body in (question.body for question in questions({"max_tokens": 9, "model": "x", "prompt": "p", "echo": 0})):
        assert (body["model"], body["max_tokens"]) != ("x", 9)
    sent = {name for question in [*questions({}), full()] for name in question.body}
    assert all(question.extra == {} for question in [*questions({}), full()])
    for name in sent:
        with pytest.raises(ValueError, match=name):
            Llm(explainer="a", judge="b", extra={name: 1})


@pytest.mark.parametrize(("named", "extra"), [("think", {"think": 1}), ("deep", {"outer": {"deep": 1}})])
def test_a_field_that_is_refused_ends_the_run_and_is_not_left_out(tmp_path, monkeypatch, named, extra):
    with ModelServer(rejects={next(iter(extra))}) as server:
        monkeypatch.setattr(server, "_refusal", _naming(server, named))
        (error,) = Desk(tmp_path, server.url).ask(Request("chat/completions", {**full().body, **extra}))
        assert len(server.asked) == 1
    assert isinstance(error, ServerStops)
    assert f"found autointerp.llm.extra: {named} is refused (HTTP 400: Unsupported parameter: '{named}'" in str(error)
    assert "wanted what this server takes" in str(error)


def _naming(server: ModelServer, name: str):
    refusal = type(server)._refusal
    return lambda asked, _: refusal(server, asked, name)


def test_ours_are_left_out_beside_it(tmp_path):
    with ModelServer(rejects={"logprobs", "temperature"}) as server:
        (answer,) = Desk(tmp_path, server.url).ask(Request("chat/completions", {**full().body, **EXTRA}))
        assert said(answer)
        assert EXTRA.items() <= server.asked[-1].body.items()

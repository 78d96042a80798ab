"""Questions whose answers the server cut: what is kept of them, and what is asked again."""

import asyncio

import pytest

from sparse_coding.interp.judge.questions import usable
from sparse_coding.llm.answers import sentence_of
from sparse_coding.llm.faults import CallFailed
from tests.llm.asking import Desk, answer_of, chat, raw_server, reply

FULL = {**answer_of("words th", finish_reason="length"), "usage": {"prompt_tokens": 30, "completion_tokens": 10}}
GOOD, EMPTY = answer_of("words that rhyme"), answer_of("")
TOO_LONG = reply({"error": {"code": "context_length_exceeded", "message": "too long"}}, 400)


def explained(desk: Desk) -> str:
    async def asked() -> str:
        async with desk.client() as client:
            return await usable(client, chat(), sentence_of)

    return asyncio.run(asked())


def test_what_another_attempt_mended_is_not_asked_again(tmp_path):
    with raw_server(reply(FULL), reply(GOOD)) as server:
        desk = Desk(tmp_path, server.url)
        assert explained(desk) == explained(desk) == "words that rhyme"
        assert len(server.asked) == 2


def test_what_failed_by_its_words_is_not_asked_again(tmp_path):
    with raw_server(reply(FULL), reply(EMPTY)) as server:
        desk = Desk(tmp_path, server.url)
        for _ in range(2):
            with pytest.raises(CallFailed, match="empty answer") as failed:
                explained(desk)
            assert failed.value.by == "words"
        assert len(server.asked) == 2


@pytest.mark.parametrize("second", [reply(FULL), TOO_LONG], ids=["cut", "refused"])
def test_what_the_server_had_no_room_for_is_asked_anew(tmp_path, second):
    with raw_server(reply(FULL), second, reply(GOOD)) as server:
        desk = Desk(tmp_path, server.url)
        with pytest.raises(CallFailed) as failed:
            explained(desk)
        assert failed.value.by == "context"
        assert not desk.files()
        assert explained(desk) == "words that rhyme"
        assert len(server.asked) == 3
        assert server.asked[0] == server.asked[2]

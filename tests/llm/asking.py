"""A client over folders of its own, and requests for the server of tests/model_server.py."""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparse_coding.llm.cache import Cache
from sparse_coding.llm.client import Client, Reach
from sparse_coding.llm.ledger import Ledger, Limits, Price
from sparse_coding.llm.request import Request

KEY = "sk-secret-0123456789"
TOKEN = 'Feature: "words \\"cat\\""\nBefore: "the"\nToken: " cat"\n'
SCHEMA: dict[str, Any] = {"type": "object", "properties": {}, "required": ["0"]}
FORMAT: dict[str, Any] = {"type": "json_schema", "json_schema": {"name": "v", "strict": True, "schema": SCHEMA}}
LIST = 'Feature: "words \\"cat\\""\nTokens:\n0: " cat"\n'


def chat(number: int = 0, model: str = "m", content: str = TOKEN, **fields: Any) -> Request:
    messages = [{"role": "system", "content": f"{number:06}"}, {"role": "user", "content": content}]
    body = {"model": model, "temperature": 0.0, "seed": 1, "max_tokens": 50, "messages": messages}
    return Request("chat/completions", {**body, **fields})


def full(number: int = 0, **fields: Any) -> Request:
    """With all that a server may not know."""
    wish = {"logprobs": True, "top_logprobs": 5, "response_format": FORMAT}
    return chat(number, content=LIST, **wish, **fields)


class Desk:
    """Cache, ledger and limits in a folder; `ask` runs a client over them."""

    def __init__(self, folder: Path, url: str, limits: Limits = Limits(), prices: Any = None, **reach: Any) -> None:  # noqa: B008
        self.folder = folder
        settings = {"server": url, "key": KEY, "in_flight": 16, "timeout": 20.0, "retries": 3, "retry_wait": 0.01}
        self.reach = Reach(base_url=url, **settings | reach)
        self.cache = Cache(folder / "cache")
        self.ledger = Ledger(folder / "ledger.sqlite", limits, prices or {"m": Price(1.0, 2.0)})

    def client(self) -> Client:
        return Client(self.reach, self.cache, self.ledger)

    def ask(self, *requests: Request) -> list[Any]:
        """Answers or errors, asked for at the same time."""

        async def all_of_them() -> list[Any]:
            async with self.client() as client:
                asked = (client.ask(request) for request in requests)
                return await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 60)

        return asyncio.run(all_of_them())

    def files(self) -> list[Path]:
        return sorted(self.cache.folder.rglob("*.json.gz"))


def said(answer: Any) -> str:
    assert not isinstance(answer, BaseException), repr(answer)
    return answer["choices"][0]["message"]["content"]


class RawServer:
    """Answers each POST with the next of `replies`, bytes as they are; the last one for good. Records when and what."""

    def __init__(self, replies: Sequence[bytes], keeps: bool = False) -> None:
        self.replies, self.keeps = list(replies), keeps
        self.asked: list[bytes] = []
        self.at: list[float] = []
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def close(self) -> None:
        self._socket.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            while (text := _read(connection)) is not None:
                self.at.append(time.monotonic())
                self.asked.append(text)
                place = min(len(self.asked), len(self.replies)) - 1
                connection.sendall(self.replies[place])
                if not self.keeps:
                    return


def _read(connection: socket.socket) -> bytes | None:
    text = b""
    while b"\r\n\r\n" not in text:
        more = connection.recv(65536)
        if not more:
            return None
        text += more
    head, _, body = text.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split()[0]) if b"ontent-" in head else 0
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def reply(body: bytes | str | Any, status: int = 200, **headers: str) -> bytes:
    data = body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    lines = {"content-type": "application/json", "content-length": len(data), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + data


@contextmanager
def raw_server(*replies: bytes, keeps: bool = False) -> Iterator[RawServer]:
    server = RawServer(replies, keeps)
    try:
        yield server
    finally:
        server.close()


def answer_of(content: Any, **choice: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}, **choice}]}


def eventually(true: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)

"""What goes by between a client and a server: bytes are passed on as they are, and so is hanging up."""

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

_LENGTH = re.compile(rb"^content-length: *(\d+)\r$", re.IGNORECASE | re.MULTILINE)
_STATUS = re.compile(rb"^HTTP/1\.1 (\d+)")


class Passed(NamedTuple):
    """A question (POST) that reached the server. status: of the whole reply; None: one of them hung up before it."""

    body: dict[str, Any]
    status: int | None


@dataclass
class _Connection:
    """asked, said: all bytes so far. A client that is heard asks again on it only after a whole reply."""

    client: socket.socket
    server: socket.socket
    asked: bytearray = field(default_factory=bytearray)
    said: bytearray = field(default_factory=bytearray)

    def carry(self) -> None:
        """Until either side hangs up, then hang up on both."""
        back = threading.Thread(target=self._pass, args=(self.server, self.client, self.said), daemon=True)
        back.start()
        self._pass(self.client, self.server, self.asked)
        back.join()
        self.client.close()
        self.server.close()

    def _pass(self, source: socket.socket, target: socket.socket, seen: bytearray) -> None:
        with suppress(OSError):  # either may be gone
            while more := source.recv(65536):
                seen += more
                target.sendall(more)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def passed(self) -> Iterator[Passed]:
        replies = [int(found[1]) for head, _ in _messages(bytes(self.said)) if (found := _STATUS.match(head))]
        for place, (head, body) in enumerate(_messages(bytes(self.asked))):
            if head.startswith(b"POST "):
                yield Passed(json.loads(body), replies[place] if place < len(replies) else None)


class Relay:
    """For use in `with`: stands on a port of its own before `port`. A question that finds nobody there is not kept."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._connections: list[_Connection] = []

    def __enter__(self) -> "Relay":
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    @property
    def passed(self) -> list[Passed]:
        """All questions so far, connection by connection."""
        return [each for connection in list(self._connections) for each in connection.passed()]

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(("127.0.0.1", self._to))
        except ConnectionRefusedError:
            client.close()
            return
        connection = _Connection(client, server)
        self._connections.append(connection)
        connection.carry()


def _messages(stream: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Head and body of each whole message: all here have a content-length, but requests without a body."""
    while b"\r\n\r\n" in stream:
        head, _, rest = stream.partition(b"\r\n\r\n")
        found = _LENGTH.search(head + b"\r")
        length = int(found[1]) if found else 0
        if len(rest) < length:
            return
        yield head, rest[:length]
        stream = rest[length:]

"""How the known server speaks HTTP: connections, heads and bodies; what is said is the business of its owner."""

import json
import socket
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from tests.model_faults import Asked, Reply
from tests.model_mind import Json


class Owner(Protocol):
    """Who replies. closing: it is to be over. connections: those that are open."""

    closing: threading.Event
    connections: set[socket.socket]

    def take(self, asked: Asked, is_post: bool) -> Reply | None:
        """The reply to a request, once it is time; None: hang up."""


class Server(ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients may leave
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def __init__(self, model: Owner, *args: Any) -> None:
        self.model = model
        super().__init__(*args)

    def setup(self) -> None:
        super().setup()
        self.model.connections.add(self.connection)

    def finish(self) -> None:
        self.model.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        self._answer({}, is_post=False)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))), is_post=True)

    def _answer(self, body: Json, is_post: bool) -> None:
        asked = Asked(self.path, body, self.headers.get("authorization"))
        reply = self.model.take(asked, is_post)
        if reply is None or self._is_alone():
            self.close_connection = True
            return
        asked.answered = reply.answers
        self._send(reply)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        headers = {"content-type": reply.media, "content-length": str(len(reply.body)), **reply.headers}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body[: reply.sent])
        self.close_connection = self.close_connection or reply.sent is not None

    def _is_alone(self) -> bool:
        """Whether the client has left, or the server is closing."""
        try:
            gone = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            gone = False
        except OSError:
            gone = True
        return gone or self.model.closing.is_set()

    def log_message(self, *_: Any) -> None:
        pass


def hang_up(connection: socket.socket) -> None:
    """End a connection, whatever it is doing."""
    with suppress(OSError):  # it is over already
        connection.shutdown(socket.SHUT_RDWR)


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]

"""A server on this machine that speaks OpenAI's API, with a model that is known and faults to order."""

import json
import socket
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.model_mind import SPOILT, Json, Mind, most_tokens, n_tokens, written

# kind -> status, type, code, message
ERRORS: dict[str, tuple[int, str, str | None, str]] = {
    "rate": (429, "requests", "rate_limit_exceeded", "Rate limit reached for requests."),
    "quota": (429, "insufficient_quota", "insufficient_quota", "You exceeded your current quota."),
    "key": (401, "invalid_request_error", "invalid_api_key", "Incorrect API key provided: {key}."),
    "flagged": (403, "invalid_request_error", None, 'Your input was flagged for "violence".'),
    "filtered": (400, "invalid_request_error", "content_filter", "The response was filtered."),
    "key_limit": (403, "invalid_request_error", None, "Key limit exceeded (total limit)."),
    "forbidden": (403, "invalid_request_error", "unsupported_country", "Access denied."),
    "model": (404, "invalid_request_error", "model_not_found", "The model does not exist."),
    "server": (500, "server_error", None, "The server had an error while processing your request."),
    "busy": (503, "server_error", None, "The engine is currently overloaded."),
    "bad_request": (400, "invalid_request_error", None, "Invalid request."),
    "too_long": (400, "invalid_request_error", "context_length_exceeded", "This model's maximum context length is 8."),
}
BROKEN = {"gateway", "drop", "half", "undecodable", "no_choices", "error_in_choice", "error_in_place"}
PROVIDER = {"code": 502, "message": "Provider returned error", "metadata": {"raw": "upstream", "provider_name": "P"}}
KINDS = {*ERRORS, *BROKEN, *SPOILT, "slow", "no_usage"}
UNROUTED = "/chat/completions: Invalid model name passed in model={}. Call `/v1/models` to view available models."
HTML = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


@dataclass(frozen=True)
class Fault:
    """What befalls a POST. seconds: of "slow". retry_after (seconds or a date), retry_after_ms: headers of errors."""

    kind: str
    seconds: float = 1.0
    retry_after: float | str | None = None
    retry_after_ms: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.kind}: no kind of fault; there are {sorted(KINDS)}")

    @property
    def headers(self) -> dict[str, str]:
        """What an error says about when to come again."""
        waits = {"retry-after": self.retry_after, "retry-after-ms": self.retry_after_ms}
        return {name: str(value) for name, value in waits.items() if value is not None}


@dataclass
class Asked:
    """A request that came in. answered: what the model said, well or not, went out to a client that was there."""

    path: str
    body: Json
    authorization: str | None
    answered: bool = False

    @property
    def key(self) -> str:
        """The key that was sent."""
        return (self.authorization or "").removeprefix("Bearer ")


@dataclass(frozen=True)
class Reply:
    """What goes back. sent: bytes of the body, None: all. answers: it is what the model said."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    sent: int | None = None
    media: str = "application/json"
    answers: bool = False


Faults = Sequence[Fault | None] | Callable[[Asked, int], Fault | None]


class ModelServer:
    """The server, for use in `with`.

    faults: one for each POST, in order, or a function of a POST and its number (from 0). rejects: fields that it
    answers 400 to, named unless `vague`. ignores: fields that it does not look at. key: the only one that is let in.
    latency: seconds that every call takes at least. models: names that it lists; it answers to any. answers_as: what a
    model calls itself in the how-manieth answer (from 1). manners: those of the mind (see there).
    """

    def __init__(
        self,
        faults: Faults = (),
        rejects: Collection[str] = (),
        ignores: Collection[str] = (),
        key: str | None = None,
        *,
        vague: bool = False,
        latency: float = 0.0,
        routes: dict[str, str] | None = None,
        answers_as: Callable[[str, int], str] = lambda model, number: model,
        models: Collection[str] = ("explains", "judges", "another", "third"),
        **manners: Any,
    ) -> None:
        self.faults, self.rejects, self.ignores, self.key = faults, rejects, ignores, key
        self.vague, self.latency, self.models, self.mind = vague, latency, models, Mind(**manners)
        self.routes = routes
        self.answers_as = answers_as
        self.most_at_once = 0
        self.closing = threading.Event()
        self.connections: set[socket.socket] = set()
        self._asked: list[Asked] = []
        self._looked: list[Asked] = []
        self._lock = threading.Lock()
        self._posts = self._at_once = 0

    def __enter__(self) -> "ModelServer":
        self._server = _Server(("127.0.0.1", 0), partial(_Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in list(self.connections):
            _hang_up(connection)

    @property
    def url(self) -> str:
        """What clients call `base_url`."""
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def asked(self) -> list[Asked]:
        """Every question so far (POST), in the order in which they came in."""
        with self._lock:
            return list(self._asked)

    @property
    def looked(self) -> list[Asked]:
        """Every other request so far (GET), as for the list of models."""
        with self._lock:
            return list(self._looked)

    def forget(self) -> None:
        """Empty `asked` and `looked`."""
        with self._lock:
            self._asked.clear()
            self._looked.clear()

    def take(self, asked: Asked, is_post: bool) -> Reply | None:
        """The reply to a request, once it is time; None: hang up."""
        with self._lock:
            (self._asked if is_post else self._looked).append(asked)
            number = self._posts
            self._posts += is_post
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            fault = self._fault(asked, number) if is_post else None
            slow = fault.seconds if fault is not None and fault.kind == "slow" else 0.0
            self.closing.wait(self.latency + slow)
            if self.key is not None and asked.authorization != f"Bearer {self.key}":
                return _error("key", asked)
            return self._reply(asked, fault) if is_post else self._models(asked)
        finally:
            with self._lock:
                self._at_once -= 1  # before the reply goes out: the client may ask again at once

    def _fault(self, asked: Asked, number: int) -> Fault | None:
        if callable(self.faults):
            return self.faults(asked, number)
        return self.faults[number] if number < len(self.faults) else None

    def _models(self, asked: Asked) -> Reply:
        if asked.path != "/v1/models":
            return _error("model", asked)
        about = {"object": "model", "created": 0, "owned_by": "tests"}
        return _json_reply({"object": "list", "data": [{"id": name, **about} for name in self.models]})

    def _reply(self, asked: Asked, fault: Fault | None) -> Reply | None:
        kind, headers = (fault.kind, fault.headers) if fault is not None else ("", {})
        if kind in ERRORS:
            return _error(kind, asked, headers)
        if kind == "drop":
            return None
        if kind == "gateway":
            return Reply(502, HTML, headers, media="text/html")
        model = asked.body.get("model")
        if self.routes is not None and model not in self.routes:
            return _json_reply({"error": {"message": UNROUTED.format(model), "type": "None", "code": "400"}}, 400)
        sent = [name for name, value in asked.body.items() if value is not None and value is not False]
        refused = [name for name in sent if name in self.rejects]
        return self._refusal(asked, refused[0]) if refused else self._answer(asked, kind)

    def _refusal(self, asked: Asked, name: str) -> Reply:
        if self.vague:
            return _error("bad_request", asked)
        said = f"Unsupported parameter: '{name}' is not supported with this model."
        error = {"message": said, "type": "invalid_request_error", "param": name, "code": "unsupported_parameter"}
        return _json_reply({"error": error}, 400)

    def _answer(self, asked: Asked, kind: str) -> Reply:
        body = {name: value for name, value in asked.body.items() if name not in self.ignores}
        answers = {"/v1/chat/completions": self._chat, "/v1/completions": self._complete}
        if asked.path not in answers:
            return _error("model", asked)
        try:
            answer = answers[asked.path](body, kind if kind in SPOILT else None)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            print(f"tests/model_server.py cannot read {asked}: {error!r}", file=sys.stderr)
            return _error("bad_request", asked)
        routed = (self.routes or {}).get(body["model"], body["model"])
        return _broken({"created": 0, "model": self.answers_as(routed, self._posts), **answer}, kind)

    def _chat(self, body: Json, spoil: str | None) -> Json:
        choice = self.mind.chat(body, spoil)
        read = "".join(message["content"] for message in body["messages"])
        said = choice["message"]["content"] or choice["message"]["refusal"] or ""
        usage = _usage(read, said, most_tokens(body))
        return {"id": "chatcmpl-0", "object": "chat.completion", "choices": [choice], "usage": usage}

    def _complete(self, body: Json, spoil: str | None) -> Json:
        choice = self.mind.complete(body, spoil)
        usage = _usage(body["prompt"], written(body), body.get("max_tokens", 16))
        return {"id": "cmpl-0", "object": "text_completion", "choices": [choice], "usage": usage}


def _broken(answer: Json, kind: str) -> Reply:
    if kind == "no_usage":
        del answer["usage"]
    if kind == "error_in_choice":
        answer["choices"] = [{"index": 0, "message": {"content": ""}, "finish_reason": "error", "error": PROVIDER}]
    if kind == "error_in_place":
        answer = {"error": PROVIDER}
    body = json.dumps({"choices": []} if kind == "no_choices" else answer).encode()
    if kind == "undecodable":
        return Reply(200, b"upstream said: " + body)
    return Reply(200, body, sent=len(body) // 2) if kind == "half" else Reply(200, body, answers=True)


def _usage(read: str, said: str, most: int | None) -> Json:
    """The end of an answer is a token too, if there was room for it."""
    wrote = n_tokens(said) + 1 if most is None else min(most, n_tokens(said) + 1)
    return {"prompt_tokens": n_tokens(read), "completion_tokens": wrote, "total_tokens": n_tokens(read) + wrote}


def _error(kind: str, asked: Asked, headers: dict[str, str] | None = None) -> Reply:
    status, name, code, message = ERRORS[kind]
    error = {"message": message.replace("{key}", asked.key), "type": name, "param": None, "code": code}
    return _json_reply({"error": error}, status, headers)


def _json_reply(value: Json, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, json.dumps(value).encode(), headers or {})


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # it is over already
        connection.shutdown(socket.SHUT_RDWR)


class _Server(ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # clients may leave
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def __init__(self, model: ModelServer, *args: Any) -> None:
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


def free_port() -> int:
    """A port of this machine that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]

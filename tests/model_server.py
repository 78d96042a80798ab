"""A server on this machine that speaks OpenAI's API, with a model that is known and faults to order."""

import socket
import sys
import threading
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from tests.model_faults import ERRORS, HTML, KINDS, Asked, Fault, Faults, Reply, answer_reply, error_reply, json_reply
from tests.model_http import Handler, Server, free_port, hang_up
from tests.model_mind import SPOILT, Json, Mind, most_tokens, n_tokens, written

__all__ = ["ERRORS", "KINDS", "Asked", "Fault", "ModelServer", "Reply", "free_port"]

UNROUTED = (  # of LiteLLM 1.108.7
    "/chat/completions: Invalid model name passed in model={}. Call `/v1/models` to view available models for your key."
)


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
        self._server = Server(("127.0.0.1", 0), partial(Handler, self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in list(self.connections):
            hang_up(connection)

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
                return error_reply("key", asked)
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
            return error_reply("model", asked)
        about = {"object": "model", "created": 0, "owned_by": "tests"}
        return json_reply({"object": "list", "data": [{"id": name, **about} for name in self.models]})

    def _reply(self, asked: Asked, fault: Fault | None) -> Reply | None:
        kind, headers = (fault.kind, fault.headers) if fault is not None else ("", {})
        if kind in ERRORS:
            return error_reply(kind, asked, headers)
        if kind == "drop":
            return None
        if kind == "gateway":
            return Reply(502, HTML, headers, media="text/html")
        model = asked.body.get("model")
        if self.routes is not None and model not in self.routes:
            error = {"message": UNROUTED.format(model), "type": "invalid_request_error", "param": None, "code": "400"}
            return json_reply({"error": error}, 400)
        sent = [name for name, value in asked.body.items() if value is not None and value is not False]
        refused = [name for name in sent if name in self.rejects]
        return self._refusal(asked, refused[0]) if refused else self._answer(asked, kind)

    def _refusal(self, asked: Asked, name: str) -> Reply:
        if self.vague:
            return error_reply("bad_request", asked)
        said = f"Unsupported parameter: '{name}' is not supported with this model."
        error = {"message": said, "type": "invalid_request_error", "param": name, "code": "unsupported_parameter"}
        return json_reply({"error": error}, 400)

    def _answer(self, asked: Asked, kind: str) -> Reply:
        body = {name: value for name, value in asked.body.items() if name not in self.ignores}
        answers = {"/v1/chat/completions": self._chat, "/v1/completions": self._complete}
        if asked.path not in answers:
            return error_reply("model", asked)
        try:
            answer = answers[asked.path](body, kind if kind in SPOILT else None)
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            print(f"tests/model_server.py cannot read {asked}: {error!r}", file=sys.stderr)
            return error_reply("bad_request", asked)
        routed = (self.routes or {}).get(body["model"], body["model"])
        return answer_reply({"created": 0, "model": self.answers_as(routed, self._posts), **answer}, kind)

    def _chat(self, body: Json, spoil: str | None) -> Json:
        choice = self.mind.chat(body, spoil)
        said = choice["message"]["content"] or choice["message"]["refusal"] or ""
        is_full = spoil in ("truncated", "thinks")
        usage = _usage(self.mind.read(body), said, most_tokens(body), is_full)
        return {"id": "chatcmpl-0", "object": "chat.completion", "choices": [choice], "usage": usage}

    def _complete(self, body: Json, spoil: str | None) -> Json:
        choice = self.mind.complete(body, spoil)
        usage = _usage(body["prompt"], written(body), body.get("max_tokens", 16))
        return {"id": "cmpl-0", "object": "text_completion", "choices": [choice], "usage": usage}


def _usage(read: str, said: str, most: int | None, is_full: bool = False) -> Json:
    """The end of an answer is a token too, if there was room for it."""
    wrote = n_tokens(said) + 1 if most is None else most if is_full else min(most, n_tokens(said) + 1)
    return {"prompt_tokens": n_tokens(read), "completion_tokens": wrote, "total_tokens": n_tokens(read) + wrote}

"""What befalls a request to the known server, and what goes back: faults to order, and replies."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.model_mind import SPOILT, Json

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


def answer_reply(answer: Json, kind: str) -> Reply:
    """The answer of the model, whole, or as `kind` has it."""
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


def error_reply(kind: str, asked: Asked, headers: dict[str, str] | None = None) -> Reply:
    """An entry of ERRORS, with the key that was sent where its message quotes it."""
    status, name, code, message = ERRORS[kind]
    error = {"message": message.replace("{key}", asked.key), "type": name, "param": None, "code": code}
    return json_reply({"error": error}, status, headers)


def json_reply(value: Json, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Any JSON."""
    return Reply(status, json.dumps(value).encode(), headers or {})

"""What a failed call means: send it again, in another form, give it up, or end the run."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from sparse_coding.errors import BadInput
from sparse_coding.llm import complaints
from sparse_coding.llm.overflow import Overflow, overflow_of
from sparse_coding.llm.usage import Used

if TYPE_CHECKING:
    import openai

AGAIN = {408, 409, 425, 429}  # and all from 500
CUT_OFF = {502, 504, 524}  # a gateway gave up: the model behind it may have answered
NEVER_SENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "LocalProtocolError", "UnsupportedProtocol"}
STOP = {
    401: "the key is not accepted",
    402: "payment is asked for",
    403: "access is denied",
    404: "no such model or address",
}
LONGEST = 300  # letters of what a server says


# What left a question without an answer: the server gave none, and might another time; it refused to be asked so; its
# context is too small; or the words, of the model or of the question, would not do. Only the last is a result.
By = Literal["server", "refusal", "context", "words"]


class CallFailed(Exception):
    """A call that has no answer that can be used. overflow: where the context is too small, what is known of it."""

    def __init__(self, reason: str, by: By, overflow: Overflow | None = None) -> None:
        super().__init__(reason)
        self.reason, self.by, self.overflow = reason, by, overflow


class ServerStops(BadInput):
    """The server will answer nothing more until something is put right."""


@dataclass(frozen=True)
class Fault:
    """What to do, and why. wait: seconds that the server asks for. may_cost: it may have answered, and charged.

    used: what it did charge, where it says so. of_one: of a stop, whether it may be about this question alone.
    by: what it is due to, where the question is given up; overflow: of the context.
    """

    kind: Literal["again", "degrade", "fail", "stop"]
    reason: str
    wait: float | None = None
    may_cost: bool = False
    used: Used | None = None
    of_one: bool = False
    by: By = "refusal"
    overflow: Overflow | None = None


def fault_of(error: "openai.OpenAIError", key: str = "") -> Fault:
    """What an error of the client means. Some servers repeat the key that they refuse: no reason does."""
    import openai

    if isinstance(error, openai.APIStatusError):
        return of_status(error.status_code, error.body, error.response.headers, key, error.message)
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__
        may_cost = type(cause).__name__ not in NEVER_SENT
        if isinstance(error, openai.APITimeoutError):
            return Fault("again", "no answer in time", may_cost=may_cost)
        return Fault("again", f"no connection ({short(str(cause or error) or type(cause).__name__, key)})",
                     may_cost=may_cost)  # fmt: skip
    return Fault("fail", short(f"{type(error).__name__}: {error}", key))


def of_status(status: int, error: object, headers: Mapping[str, str], key: str = "", otherwise: str = "") -> Fault:
    """What a status means whose body holds `error`; otherwise: words for one that says nothing."""
    said = short(complaints.words_of(error) or otherwise, key)
    reason = f"HTTP {status}: {said}"
    if status == 429 and complaints.is_of_quota(error):
        return Fault("stop", f"the quota is used up ({reason})")
    if 300 <= status < 400:
        there = short(headers.get("location", "nowhere"), key)
        return Fault("stop", f"a redirection to {there} (HTTP {status})")
    if status in (400, 422) and complaints.is_filter(error):  # Azure charges for what it filters
        return Fault("fail", f"the question was flagged ({reason})", may_cost=True, by="words")
    if status == 403 and complaints.is_flagged(error):
        return Fault("fail", f"the question was flagged ({reason})", by="words")
    if status in STOP:
        of_one = status == 403 and not complaints.is_of_the_account(error)
        return Fault("stop", f"{STOP[status]} ({reason})", of_one=of_one)
    if overflow := overflow_of(error if isinstance(error, dict) else {}, complaints.words_of(error)):
        return Fault("fail", reason, by="context", overflow=overflow)
    if status in AGAIN or status >= 500:
        return Fault("again", reason, wait=_retry_after(headers), may_cost=status in CUT_OFF)
    return Fault("degrade" if status in (400, 422) else "fail", reason)


def short(text: str, key: str) -> str:
    """What a server says, on one line, without the key, also where it is cut; Unicode, whatever the server sent."""
    clean = text.replace(key, "[key]") if key else text
    return " ".join(clean.split())[:LONGEST].encode(errors="replace").decode()


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds, from retry-after-ms or retry-after (seconds, or a date); None where neither can be read."""
    wishes = ((float, "retry-after-ms", 1000), (float, "retry-after", 1), (_until, "retry-after", 1))
    for read, name, unit in wishes:
        try:
            wait = read(headers[name]) / unit
        except (KeyError, ValueError, TypeError, OverflowError):
            continue
        if math.isfinite(wait):
            return max(0.0, wait)
    return None


def _until(date: str) -> float:
    return parsedate_to_datetime(date).timestamp() - time.time()

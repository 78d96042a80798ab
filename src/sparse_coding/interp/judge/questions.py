"""From a filled prompt to a request, and to an answer that can be used."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sparse_coding.interp.judge.prompts import Message, Prompt
from sparse_coding.llm import heard
from sparse_coding.llm.answers import Cut, Unusable
from sparse_coding.llm.client import Answer, Client
from sparse_coding.llm.faults import CallFailed
from sparse_coding.llm.manners import room_left
from sparse_coding.llm.overflow import Overflow
from sparse_coding.llm.request import Request

ATTEMPTS = 2  # of a question whose answer cannot be used
LIKELIEST = 15  # tokens whose probabilities are asked for

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class Style:
    """How both models are asked. reasoning_tokens: room beside each answer; extra: sent beside what is set here."""

    temperature: float
    seed: int
    reasoning_tokens: int
    logprobs: bool
    extra: Mapping[str, Any] = field(default_factory=dict)

    def chat(
        self,
        model: str,
        messages: list[Message],
        tokens: int,
        schema: dict[str, Any] | None = None,
        logprobs: bool = False,
    ) -> Request:
        """A chat with an answer of at most `tokens`; of the form of `schema` where the server can hold to one."""
        body = self._body(model, tokens) | {"messages": messages}
        if schema is not None:
            form = {"name": "values", "strict": True, "schema": schema}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        if logprobs and self.logprobs:
            body |= {"logprobs": True, "top_logprobs": LIKELIEST}
        return Request("chat/completions", body)

    def echo(self, model: str, prompt: str) -> Request:
        """A prompt that comes back with the probabilities of its own tokens; one token more, as some servers insist."""
        body = {**self._body(model, 1), "max_tokens": 1, "prompt": prompt, "echo": True, "logprobs": LIKELIEST}
        return Request("completions", body)

    def _body(self, model: str, tokens: int) -> dict[str, Any]:
        most = tokens + self.reasoning_tokens
        return {**self.extra, "model": model, "temperature": self.temperature, "seed": self.seed, "max_tokens": most}


@dataclass(frozen=True)
class Asked:
    """A model, and the words in which it is asked."""

    prompt: Prompt
    style: Style
    model: str

    @property
    def digest(self) -> str:
        """Of the prompt."""
        return self.prompt.digest

    def chat(
        self, values: Mapping[str, str], tokens: int, schema: dict[str, Any] | None = None, logprobs: bool = False
    ) -> Request:
        """The prompt with `values` in its places; the rest as Style.chat."""
        return self.style.chat(self.model, self.prompt.filled(**values), tokens, schema, logprobs)


def whole_numbers(n: int, highest: int) -> dict[str, Any]:
    """The schema of {"0": d, ..., "n-1": d}: with all keys required, a server that holds to it cannot miscount."""
    keys = [str(number) for number in range(n)]
    value = {"type": "integer", "enum": list(range(highest + 1))}
    return {
        "type": "object",
        "properties": dict.fromkeys(keys, value),
        "required": keys,
        "additionalProperties": False,
    }


@dataclass(frozen=True)
class Question:
    """What a language model is asked. parse: raises Unusable for an answer that cannot be used.

    older: the question as earlier versions asked it. Where an answer to that is kept and none to `request`, it serves:
    nothing is paid for twice.
    """

    request: Request
    parse: Callable[[Answer], Any]
    older: Request | None = None

    def asked(self, known: Callable[[Request], Answer | None]) -> Request:
        """The form in which it is asked; known: kept answers."""
        if self.older is None or known(self.request) is not None or known(self.older) is None:
            return self.request
        return self.older


async def usable(client: Client, request: Request, parse: Callable[[Answer], Parsed]) -> Parsed:
    """What `parse` makes of the answer; where it cannot be used, of another attempt, with more room if it was cut.

    Raises CallFailed with the last reason, and what `Client.ask` raises.
    """
    reason, was_cut = "", False
    full: list[tuple[Request, Overflow]] = []
    try:
        for attempt in range(ATTEMPTS):
            asked = request.again(attempt, was_cut)
            who: set[str] = set()
            with heard.listening(who):
                answer = await client.ask(asked)
            try:
                parsed = parse(answer)
                heard.add(who)  # of answers that are of use alone
                return parsed
            except Unusable as error:
                reason, was_cut = str(error), isinstance(error, Cut)
            if was_cut and (room := room_left(asked, answer)) is not None:
                full.append((asked, room))
        if was_cut and full:
            raise CallFailed(f"{reason}, by the server: it may be longer", "context", full[-1][1])
        raise CallFailed(reason, "words")
    except CallFailed as failed:
        if failed.by != "words":
            for asked, _ in full:  # or a server that was given more room would not be asked again
                client.forget(asked)
        raise


async def together(client: Client, questions: Sequence[Question]) -> list[Any]:
    """What `usable` finds for each, in order; all of them are needed.

    Where one has no usable answer, those after it that were not begun yet are not sent: they could save nothing.
    Those before it are, so that the error does not hang on who answers first. It is raised when all have ended: what
    was sent is paid for, and is to be kept.
    """
    useless = len(questions)  # the first place whose answer cannot be used
    begun = asyncio.Semaphore(client.reach.in_flight)  # or a second attempt would wait until all others were sent

    async def one(place: int, question: Question) -> Any:
        nonlocal useless
        async with begun:
            if place > useless:
                raise CallFailed("not asked", "words")
            try:
                return await usable(client, question.asked(client.known), question.parse)
            except CallFailed as failed:
                if failed.by != "server":  # an answer that did not come may come at the end of the run
                    useless = min(useless, place)
                raise

    results = await asyncio.gather(*map(one, range(len(questions)), questions), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results

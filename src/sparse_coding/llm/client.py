"""Ask a model: from the cache, or over HTTP within the limits, as often as faults make necessary."""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from weakref import WeakValueDictionary

import openai

from sparse_coding.errors import BadInput, Paused
from sparse_coding.llm import degrade, heard, inside
from sparse_coding.llm.cache import Cache, Kept
from sparse_coding.llm.faults import CallFailed, Fault, ServerStops, fault_of
from sparse_coding.llm.ledger import Ledger, Spent
from sparse_coding.llm.pace import Pace, pause
from sparse_coding.llm.request import Endpoint, Request
from sparse_coding.llm.usage import Used, used
from sparse_coding.settings.params import SET_HERE

OTHERS = 15  # seconds without a change after which calls of other processes are taken to be those of killed ones
MOST_PATIENCE = 900.0  # seconds; a server that asks for more ends the run
OVERDUE = Fault("again", "no answer in time", may_cost=True)
Answer = dict[str, Any]
Asked = tuple[Endpoint, str]  # of a model


@dataclass(frozen=True)
class Reach:
    """How a server is reached. key: empty where none is needed. timeout, retry_wait: seconds.

    server: the name that answers are kept under. by_address: those that earlier versions kept under base_url are of
    this server too.
    """

    base_url: str
    key: str
    in_flight: int
    timeout: float
    retries: int
    retry_wait: float
    server: str
    by_address: bool = False


class Client:
    """A connection to one server, for use in `async with`. At most `in_flight` calls are under way."""

    def __init__(self, reach: Reach, cache: Cache, ledger: Ledger) -> None:
        self.reach, self.cache, self.ledger = reach, cache, ledger
        if not (reach.key.isascii() and reach.key.isprintable()):  # errors about headers quote them
            raise BadInput("the key", "letters that no header can hold", "printable ASCII, without an end of line")
        self._openai = openai.AsyncOpenAI(
            base_url=reach.base_url,
            api_key=reach.key or "none",
            max_retries=0,
            timeout=openai.Timeout(reach.timeout, read=None),  # the pace says how long an answer is waited for
            # A redirection is a second request, which the ledger does not know.
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )
        self._pace = Pace(reach.base_url, reach.in_flight, reach.timeout)
        self._same: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # while somebody asks
        self._dropped: defaultdict[Asked, set[str]] = defaultdict(set)  # parameters that a model does not know
        self._climbs: defaultdict[Asked, asyncio.Lock] = defaultdict(asyncio.Lock)  # who is finding them out
        self._answering: set[Asked] = set()  # who answered a question in this run
        self._denied: defaultdict[Asked, set[str]] = defaultdict(set)  # questions
        self._settled = asyncio.Condition()
        self._under_way = 0
        self._last_spent: Spent | None = None
        self._unchanged = 0

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._openai.close()

    @property
    def api(self) -> openai.AsyncOpenAI:
        """The connection, for what is no question."""
        return self._openai

    def known(self, request: Request) -> Answer | None:
        """The answer that is in the cache, for which asking is free; None where there is none."""
        kept = self._kept(request)
        return None if kept is None else kept["answer"]

    def forget(self, request: Request) -> None:
        """Ask it anew another time: its answer was the server's fault."""
        for name in self._names():
            self.cache.forget(request.key(name))

    def _names(self) -> list[str]:
        """What answers of this server are kept under, and were by earlier versions."""
        return [self.reach.server, *([self.reach.base_url] if self.reach.by_address else [])]

    def _kept(self, request: Request) -> Kept | None:
        found = (self.cache.get(request.key(name)) for name in self._names())
        return next((kept for kept in found if kept is not None), None)

    async def ask(self, request: Request) -> Answer:
        """The JSON of the answer. The same question is sent once, and its answer is kept before it is used.

        Raises CallFailed where there is none, ServerStops where there will be none, Paused where it may go over a
        limit.
        """
        key = request.key(self.reach.server)
        async with self._same.setdefault(key, asyncio.Lock()):
            kept = self._kept(request)
            return heard.note(kept["answer"] if kept is not None else await self._answered(request, key))

    async def _answered(self, request: Request, key: str) -> Answer:
        if self._pace.gives_up(key):
            raise CallFailed(OVERDUE.reason, "server")
        asked = request.endpoint, request.model
        known, climb = self._dropped[asked], self._climbs[asked]
        dropped: set[str] = set()
        tries = 0
        while True:
            async with climb:  # not while somebody is finding out what the server knows
                pass
            async with self._pace.slots:
                if climb.locked():
                    continue
                dropped |= known
                answer, fault, sent = await self._sent(request, key, dropped)
            if fault is not None and fault.kind == "degrade":
                async with climb:
                    answer, fault = await self._degraded(request, key, dropped, sent, fault)
            if answer is not None:
                return answer
            if fault is None:
                continue  # others found out what to leave out
            if fault.kind != "again":
                raise CallFailed(fault.reason, fault.by, fault.overflow)
            is_last = tries >= self.reach.retries or self._pace.gives_up(key)
            if fault.wait is not None or not is_last:
                self._be_silent(fault, tries)
            if is_last:
                raise CallFailed(f"{fault.reason}, {tries + 1} times", "server")
            tries += 1

    async def _degraded(
        self, request: Request, key: str, dropped: set[str], sent: Mapping[str, Any], fault: Fault
    ) -> tuple[Answer | None, Fault | None]:
        """Leave out one parameter after another until the server takes the request, unless others found out which."""
        refusal = fault.reason
        believed = not degrade.is_vague(request.endpoint, sent, fault.reason)  # else a passing refusal could cost a run
        while fault.kind == "degrade":
            if not self._dropped[request.endpoint, request.model] <= dropped:
                return None, None
            name = degrade.next_to_drop(request.endpoint, sent, fault.reason)
            if name is None:
                break
            if believed:
                dropped.add(name)
            believed = True
            async with self._pace.slots:
                answer, after, sent = await self._sent(request, key, dropped)
            if after is None and not dropped - self._dropped[request.endpoint, request.model]:
                return answer, None
            if after is None:
                self._dropped[request.endpoint, request.model] |= dropped  # here: those who wait are to know
                left_out = ", ".join(sorted(dropped)).replace("max_tokens", "max_tokens (by its old name)")
                said = f"{request.model} is asked without {left_out} from now on ({refusal})"
                print(f"{self.reach.base_url}: {said}", file=sys.stderr)
                return answer, None
            fault = after
        return None, fault

    async def _sent(
        self, request: Request, key: str, dropped: set[str]
    ) -> tuple[Answer | None, Fault | None, Mapping[str, Any]]:
        """Send once. The answer or what went wrong, and the body that was sent."""
        sent = degrade.without(request.body, dropped)
        call = await self._reserved(request)
        charged = most = Used(request.most_prompt_tokens, request.most_completion_tokens)  # unless it is known
        try:
            answer, fault = await self._exchanged(request, sent, key)
            if answer is not None:
                charged = used(answer) or most
                kept = {"request": dict(request.body), "dropped": sorted(dropped), "answer": answer}
                answer = self.cache.first(key, kept)["answer"]
                self._answering.add((request.endpoint, request.model))
            elif fault is not None:
                charged = fault.used or (most if fault.may_cost else Used(0, 0))
        finally:
            try:
                self.ledger.settle(call, request.model, *charged)
            finally:
                self._under_way -= 1
                async with self._settled:
                    self._settled.notify_all()
        if fault is not None and fault.of_one and not await self._denies_all(request, key):
            fault = Fault("fail", fault.reason)
        wanted = "a server that answers"
        if fault is not None and fault.kind == "degrade" and (why := degrade.beyond(request, sent, fault.reason)):
            fault, wanted = Fault("stop", f"{why} ({fault.reason})"), "what this server takes"
        if fault is not None and fault.kind == "stop":
            wanted += "; then run the same command again: no answer is asked for twice"
            raise self._pace.end(ServerStops(self.reach.base_url, fault.reason, wanted))
        return answer, fault, sent

    async def _denies_all(self, request: Request, key: str) -> bool:
        """Whether this model answered nothing in this run, and denies this question and another.

        One alone may be about its text. What is under way is waited for: a filter is faster than a model.
        """
        asked = request.endpoint, request.model
        self._denied[asked].add(key)
        async with self._settled:
            await self._settled.wait_for(lambda: asked in self._answering or not self._under_way)
        return asked not in self._answering and len(self._denied[asked]) > 1

    async def _exchanged(
        self, request: Request, sent: Mapping[str, Any], key: str
    ) -> tuple[Answer | None, Fault | None]:
        api = self._openai.completions if request.endpoint == "completions" else self._openai.chat.completions
        try:
            ours = {name: value for name, value in sent.items() if name in SET_HERE}
            more = {name: value for name, value in sent.items() if name not in SET_HERE}
            async with self._pace.waiting(key):
                raw = await api.with_raw_response.create(**ours, extra_body=more or None)
            answer = json.loads(raw.http_response.content)
            told = raw.http_response.headers, self.reach.key
            if isinstance(answer, dict) and (fault := inside.fault_in(answer, *told)) is not None:
                return None, fault
        except TimeoutError:
            return None, OVERDUE
        except openai.OpenAIError as error:
            return None, fault_of(error, self.reach.key)
        except UnicodeEncodeError:
            return None, Fault("fail", "a question that is no Unicode (half of a surrogate pair)", by="words")
        except (ValueError, RecursionError):
            return None, Fault("again", "an answer that is no JSON", may_cost=True)
        if not isinstance(answer, dict) or "choices" not in answer:
            return None, Fault("again", "an answer that is no JSON object with choices", may_cost=True)
        return answer, None

    async def _reserved(self, request: Request) -> int:
        """Enter the call. What is under way is entered at the most that it can cost: near a limit, wait for it."""
        while True:
            await self._pace.silence()  # also after a wait for others: they may have been told to be silent
            async with self._settled:
                if self._pace.over is not None:
                    raise self._pace.over
                call = self.ledger.reserve(request.model, request.most_prompt_tokens, request.most_completion_tokens)
                if call is not None:
                    self._under_way += 1
                    return call
                if self._under_way:
                    await self._settled.wait()
                elif not await self._others_may_settle():
                    raise self._pace.end(self._paused())

    async def _others_may_settle(self) -> bool:
        """Whether another process has calls under way; a second is waited then. Those of a killed one stay for ever."""
        spent = self.ledger.spent()
        self._unchanged = self._unchanged + 1 if spent == self._last_spent else 0
        self._last_spent = spent
        if not spent.unsettled or self._unchanged > OTHERS:
            return False
        await asyncio.sleep(1)
        return True

    def _paused(self) -> Paused:
        limits = {"cost": " USD", "tokens": " tokens", "requests": " requests"}
        most = ", ".join(
            f"{getattr(self.ledger.limits, name):,}{unit}"
            for name, unit in limits.items()
            if getattr(self.ledger.limits, name) is not None
        )
        return Paused(
            "autointerp.llm.connection",
            f"a cap that the next call may go over (at most {most}; spent so far {self.ledger.spent()})",
            "more: raise max_cost, max_tokens or max_requests and run the same command again; what was answered is "
            "kept and costs nothing then. Or set autointerp.accept_partial: true",
        )

    def _be_silent(self, fault: Fault, tries: int) -> None:
        """Nobody sends anything until the server may have come to itself."""
        wait = max(pause(self.reach.retry_wait, tries), fault.wait or 0.0)
        if wait > MOST_PATIENCE:
            found = f"a wish to be left alone for {wait:.0f} s ({fault.reason})"
            wanted = "a shorter one; run the same command again later"
            raise self._pace.end(ServerStops(self.reach.base_url, found, wanted))
        self._pace.be_silent(wait)

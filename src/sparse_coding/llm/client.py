"""Ask a model: from the cache, or over HTTP within the limits, as often as faults make necessary."""

import asyncio
import json
import random
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
from sparse_coding.llm.request import Endpoint, Request
from sparse_coding.llm.usage import Used, used
from sparse_coding.params import SET_HERE

LONGEST_NAP = 1.0  # seconds, after which those who wait look whether the run is over
OTHERS = 15  # seconds without a change after which calls of other processes are taken to be those of killed ones
LONGEST_WAIT = 60.0  # seconds between two tries, unless the server asks for more
MOST_PATIENCE = 900.0  # seconds; a server that asks for more ends the run
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
            timeout=reach.timeout,
            # A redirection is a second request, which the ledger does not know.
            http_client=openai.DefaultAsyncHttpxClient(follow_redirects=False),
        )
        self._slots = asyncio.Semaphore(reach.in_flight)
        self._same: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()  # while somebody asks
        self._dropped: defaultdict[Asked, set[str]] = defaultdict(set)  # parameters that a model does not know
        self._climbs: defaultdict[Asked, asyncio.Lock] = defaultdict(asyncio.Lock)  # who is finding them out
        self._answering: set[Asked] = set()  # who answered a question in this run
        self._denied: defaultdict[Asked, set[str]] = defaultdict(set)  # questions
        self._settled = asyncio.Condition()
        self._under_way = 0
        self._silent_until = 0.0  # on the clock of the loop
        self._over: Exception | None = None
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

    def _kept(self, request: Request) -> Kept | None:
        kept = self.cache.get(request.key(self.reach.server))
        if kept is None and self.reach.by_address:
            kept = self.cache.get(request.key(self.reach.base_url))
        return kept

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
        asked = request.endpoint, request.model
        known, climb = self._dropped[asked], self._climbs[asked]
        dropped: set[str] = set()
        tries = 0
        while True:
            async with climb:  # not while somebody is finding out what the server knows
                pass
            async with self._slots:
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
                raise CallFailed(fault.reason, is_transport=False)
            is_last = tries >= self.reach.retries
            if fault.wait is not None or not is_last:
                self._be_silent(fault, tries)
            if is_last:
                raise CallFailed(f"{fault.reason}, {tries + 1} times", is_transport=True)
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
            async with self._slots:
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
            answer, fault = await self._exchanged(request, sent)
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
            self._over = ServerStops(self.reach.base_url, fault.reason, f"{wanted}; then run the same command again: "
                                     "no answer is asked for twice")  # fmt: skip
            raise self._over
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

    async def _exchanged(self, request: Request, sent: Mapping[str, Any]) -> tuple[Answer | None, Fault | None]:
        api = self._openai.completions if request.endpoint == "completions" else self._openai.chat.completions
        try:
            ours = {name: value for name, value in sent.items() if name in SET_HERE}
            more = {name: value for name, value in sent.items() if name not in SET_HERE}
            raw = await api.with_raw_response.create(**ours, extra_body=more or None)
            answer = json.loads(raw.http_response.content)
            told = raw.http_response.headers, self.reach.key
            if isinstance(answer, dict) and (fault := inside.fault_in(answer, *told)) is not None:
                return None, fault
        except openai.OpenAIError as error:
            return None, fault_of(error, self.reach.key)
        except UnicodeEncodeError:
            return None, Fault("fail", "a question that is no Unicode (half of a surrogate pair)")
        except (ValueError, RecursionError):
            return None, Fault("again", "an answer that is no JSON", may_cost=True)
        if not isinstance(answer, dict) or "choices" not in answer:
            return None, Fault("again", "an answer that is no JSON object with choices", may_cost=True)
        return answer, None

    async def _reserved(self, request: Request) -> int:
        """Enter the call. What is under way is entered at the most that it can cost: near a limit, wait for it."""
        while True:
            await self._silence()  # also after a wait for others: they may have been told to be silent
            async with self._settled:
                if self._over is not None:
                    raise self._over
                call = self.ledger.reserve(request.model, request.most_prompt_tokens, request.most_completion_tokens)
                if call is not None:
                    self._under_way += 1
                    return call
                if self._under_way:
                    await self._settled.wait()
                elif not await self._others_may_settle():
                    self._over = self._paused()
                    raise self._over

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
        wait = min(LONGEST_WAIT, self.reach.retry_wait * 2**tries) * random.uniform(0.5, 1)
        if fault.wait is not None:
            wait = max(wait, fault.wait)
        if wait > MOST_PATIENCE:
            self._over = ServerStops(self.reach.base_url, f"a wish to be left alone for {wait:.0f} s ({fault.reason})",
                                     "a shorter one; run the same command again later")  # fmt: skip
            raise self._over
        self._silent_until = max(self._silent_until, asyncio.get_running_loop().time() + wait)

    async def _silence(self) -> None:
        while self._over is None and (left := self._silent_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, LONGEST_NAP))

"""How many requests are under way at a time, and how long each is waited for: by what the server shows.

An answer that is late has been paid for, and the server is probably at work on it. To send the question again would be
to pay twice, and to make a busy server busier. So it is waited for where it was asked, and fewer are sent.
"""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

LONGEST = 10  # time-outs that an answer is waited for
IN_A_ROW = 4  # timely answers, for each request that may be under way, after which one more may be
MOST_SENT = 2  # times that a question is sent which is not answered in the longest wait
LONGEST_PAUSE = 60.0  # seconds between two tries, unless the server asks for more
LONGEST_NAP = 1.0  # seconds, after which those who are silent look whether the run is over


class Slots:
    """For use in `async with`: at most `now` are inside. Where that is lowered, those who are inside stay."""

    def __init__(self, most: int) -> None:
        self.most = self.now = most
        self._free = asyncio.Semaphore(most)
        self._withdrawn = 0  # places that are to be taken away as soon as they are free

    async def __aenter__(self) -> None:
        await self._free.acquire()
        while self._withdrawn:
            self._withdrawn -= 1
            await self._free.acquire()

    async def __aexit__(self, *_: object) -> None:
        self._give_back()

    def halve(self) -> None:
        """Half as many, at least 1."""
        before, self.now = self.now, max(1, self.now // 2)
        self._withdrawn += before - self.now

    def grow(self) -> None:
        """One more, at most as many as at first."""
        if self.now < self.most:
            self.now += 1
            self._give_back()

    def _give_back(self) -> None:
        if self._withdrawn:
            self._withdrawn -= 1
        else:
            self._free.release()


class Pace:
    """That of one server, at `place`. timeout: seconds after which its answer is late. `slots` says who may send."""

    def __init__(self, place: str, in_flight: int, timeout: float) -> None:
        self.slots, self.wait = Slots(in_flight), timeout  # wait: seconds after which an answer is late now
        self._place, self._timeout = place, timeout
        self._sent = 0
        self._since = 0  # the first request that was sent after the last halving
        self._timely = 0  # answers in a row
        self._waiting: dict[int, asyncio.Timeout] = {}  # by the number of the request
        self._unanswered: Counter[str] = Counter()
        self._silent_until = 0.0  # on the clock of the loop
        self.over: Exception | None = None

    @asynccontextmanager
    async def waiting(self, key: str) -> AsyncIterator[None]:
        """Around sending a question and receiving its answer. Raises TimeoutError where the longest wait ran out.

        The wait begins anew with each answer to a question that was sent before: a server that takes them one after
        the other is alive, and will come to this one. No more can do so than were under way when it was sent.
        """
        number, self._sent = self._sent, self._sent + 1
        alarm = asyncio.get_running_loop().call_later(self.wait, self._is_late, number)
        try:
            async with asyncio.timeout(LONGEST * self._timeout) as self._waiting[number]:
                yield
        except TimeoutError:
            self._unanswered[key] += 1
            raise
        finally:
            alarm.cancel()
            self._waiting.pop(number, None)
        self._answered(number)

    def gives_up(self, key: str) -> bool:
        """Whether a question was waited for so often that it is not sent any more."""
        return self._unanswered[key] >= MOST_SENT

    def be_silent(self, seconds: float) -> None:
        """Nobody sends anything for so long."""
        self._silent_until = max(self._silent_until, asyncio.get_running_loop().time() + seconds)

    async def silence(self) -> None:
        """Returns when it is over, or the run is."""
        while self.over is None and (left := self._silent_until - asyncio.get_running_loop().time()) > 0:
            await asyncio.sleep(min(left, LONGEST_NAP))

    def end(self, error: Exception) -> Exception:
        """The error, for all from now on. What is under way is paid for: it is waited for, but only a time-out."""
        self.over = error
        soon = asyncio.get_running_loop().time() + self._timeout
        for limit in self._waiting.values():
            if not limit.expired():
                limit.reschedule(min(soon, limit.when() or soon))
        self._waiting.clear()  # no answer puts it off
        return error

    def _is_late(self, number: int) -> None:
        """Requests that were under way together are late for one reason, so only what was sent since counts."""
        if number < self._since:
            return
        self._since, self._timely = self._sent, 0
        is_first = self.wait == self._timeout
        self.wait = min(2 * self.wait, LONGEST * self._timeout)
        self.slots.halve()
        if is_first:
            self._tell()

    def _answered(self, number: int) -> None:
        """Of what was sent since the last halving nothing was late yet, so this answer was timely."""
        until = asyncio.get_running_loop().time() + LONGEST * self._timeout
        for later, limit in self._waiting.items():
            if later > number and not limit.expired():
                limit.reschedule(until)
        if number >= self._since:
            self._timely += 1
            if self._timely >= IN_A_ROW * self.slots.now:
                self._timely = 0
                self.slots.grow()

    def _tell(self) -> None:
        setting = "autointerp.llm.connection"
        said = (
            f"no answer to a question in {self._timeout:g} s. It is not sent again but waited for, up to "
            f"{LONGEST * self._timeout:g} s; under way are at most {self.slots.now} from now on, and slowly more while "
            f"answers come in time. For a server that is always so slow: a longer {setting}.timeout, or "
            f"{setting}.in_flight no higher than the number of its slots"
        )
        print(f"{self._place}: {said}", file=sys.stderr)


def pause(first: float, tries: int) -> float:
    """Seconds until the next try after so many: twice as long each time, and not for all the same."""
    return min(LONGEST_PAUSE, first * 2**tries) * random.uniform(0.5, 1)

"""When members in training are written, so that a kill costs no more than what was done since."""

import time
from collections.abc import Callable


class Keeping:
    """Every `seconds`; `write` does it. For trainings that are over before that, it is never done."""

    def __init__(self, write: Callable[[], object], seconds: float) -> None:
        self._write, self._seconds, self._last = write, seconds, time.monotonic()

    def now_and_then(self, bring: Callable[[], object] = lambda: None) -> None:
        """Called when all members are at the same step; bring: what brings their numbers up to date, if it is time."""
        if time.monotonic() - self._last >= self._seconds:
            bring()
            self._write()
            self._last = time.monotonic()


NEVER = Keeping(lambda: None, float("inf"))

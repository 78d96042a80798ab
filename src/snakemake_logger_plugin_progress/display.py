"""Lines that stay, and one line that lives: with tqdm on a terminal, now and then as text elsewhere."""

import os
import re
import time
from typing import TextIO

from tqdm import tqdm

BAR = re.compile(r"^.*?\d+%\|.*?\[[^\]]*\]")
PLAIN_INTERVAL = 15.0
TAIL_LINES = 40


class Terminal:
    """A bar at the bottom, redrawn in place; other lines go above it."""

    interval = 1.0

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.bar: tqdm | None = None

    def line(self, text: str) -> None:
        """Print a line that stays."""
        tqdm.write(text, file=self.stream)

    def show(self, fraction: float, text: str) -> None:
        """Draw the bar anew, with `text` beside it, cut at the terminal's width."""
        # Some terminals say that they have no columns and no rows: tqdm would then draw nothing.
        columns = os.get_terminal_size(self.stream.fileno()).columns or 80
        if self.bar is None:
            form = "{percentage:3.0f}%|{bar:20}| {desc}"
            self.bar = tqdm(total=1.0, file=self.stream, bar_format=form, ncols=columns, nrows=20, leave=False)
        self.bar.ncols = columns
        self.bar.n = fraction
        self.bar.set_description_str(text)

    def close(self) -> None:
        """Take the bar away."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None


class Plain:
    """For files and pipes: no line is ever redrawn, and progress is told at most every 15 seconds."""

    interval = PLAIN_INTERVAL

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.shown = time.monotonic()

    def line(self, text: str) -> None:
        """Print a line that stays."""
        print(text, file=self.stream, flush=True)

    def show(self, fraction: float, text: str) -> None:
        """Print `text`, unless that was done a moment ago."""
        if time.monotonic() - self.shown >= PLAIN_INTERVAL:
            self.shown = time.monotonic()
            self.line(f"{fraction:4.0%}  {text}")

    def close(self) -> None:
        """Nothing is left open."""


def duration(seconds: float) -> str:
    """`8 s`, `2 min 20 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def clock(seconds_from_now: float) -> str:
    """The time of day in so many seconds: `17:31`."""
    return time.strftime("%H:%M", time.localtime(time.time() + seconds_from_now))


def what_went_wrong(log: str) -> list[str]:
    """The `error: ...` line that a step closes with; otherwise the last lines of its log. Without progress bars."""
    lines = [BAR.sub("", part).rstrip() for part in re.split(r"[\r\n]", log)]
    lines = [line for line in lines if line]
    if lines and lines[-1].startswith("error: "):
        return lines[-1:]
    if lines[-1:] == ["KeyboardInterrupt"]:
        return ["stopped (Ctrl-C): steps that are done are kept, and the same command goes on from there"]
    return lines[-TAIL_LINES:]

"""How long a run will still take. Arithmetic and the reading of logs; nothing is shown here."""

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

TAIL_BYTES = 256 * 1024
SPENT = re.compile(r"[\d,]+ requests, [\d,]+ tokens, [\d.]+ USD")
PERCENT = re.compile(r"(\d+)%\|")
RATIO = re.compile(r"_r(\d+)(?:p(\d+))?$")


@dataclass(frozen=True)
class Stage:
    """What is expected of a step before anything was measured: wall time with the default settings on 2 cores."""

    seconds: float
    threads: int = 2
    bars: int = 1  # tqdm bars that it writes to its log, one after another


# By the start of a rule's name. A rule of another name counts as UNKNOWN.
STAGES = {
    "transformer": Stage(4000),
    "dataset": Stage(20),
    "activations": Stage(45),
    "activations_random": Stage(40, threads=1),
    "activations_imported": Stage(20, threads=1),
    "dictionaries": Stage(27, threads=64),
    "dictionaries_random": Stage(9, threads=1),
    "baselines": Stage(20),
    "published": Stage(5, threads=1),
    "evaluation": Stage(45, bars=2),
    "autointerp": Stage(15),
    "autointerp_random": Stage(5),
    "evaluation_tables": Stage(2, threads=1),
    "evaluation_summary": Stage(2, threads=1),
    "autointerp_tables": Stage(2, threads=1),
    "plots": Stage(6, threads=1),
    "toy": Stage(30, threads=1),
    "toy_tables": Stage(3, threads=1),
    "toy_figure": Stage(6, threads=1),
}
UNKNOWN = Stage(10, threads=1)
OFF = 3.0  # by how much the table may be off, both ways, with other settings, models and machines
# Rules that only name the files of a whole stage: no steps.
TARGETS = (
    "all", "dataset", "activations", "dictionaries", "baselines", "published", "evaluation", "autointerp",
    "plots", "toy",
)  # fmt: skip


def stage_of(rule: str) -> Stage:
    """The entry of STAGES with the longest name that `rule` begins with."""
    names = [name for name in STAGES if rule.startswith(name)]
    return STAGES[max(names, key=len)] if names else UNKNOWN


def unmeasured_seconds(rule: str) -> float:
    """Seconds by the table; a dictionary's grow with its ratio (those of the table are for ratio 4)."""
    ratio = RATIO.search(rule) if rule.startswith("dictionaries") else None
    share = 1.0 if ratio is None else (1 + 2 * float(f"{ratio[1]}.{ratio[2] or 0}")) / 9
    return stage_of(rule).seconds * share


def benchmarks(folder: Path) -> dict[str, float]:
    """Seconds that each rule took when it last ran here, from `<folder>/<rule>.benchmark.tsv`."""
    seconds = {}
    for path in folder.glob("*.benchmark.tsv"):
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        if rows:
            # A rule's name cannot hold the point of a ratio such as 0.5.
            seconds[path.name.removesuffix(".benchmark.tsv").replace(".", "p")] = float(rows[-1]["s"])
    return seconds


def expected_seconds(rules: Iterable[str], measured: Mapping[str, float]) -> dict[str, float]:
    """Seconds for each rule: measured, or by the table, which is scaled to the measured ones."""
    by_table = sum(unmeasured_seconds(rule) for rule in measured)
    factor = sum(measured.values()) / by_table if by_table else 1.0
    return {rule: measured.get(rule, unmeasured_seconds(rule) * factor) for rule in rules}


def is_guess(expected: Mapping[str, float], measured: Mapping[str, float]) -> bool:
    """Whether most of `expected` is by the table, which knows the default's settings and no others."""
    by_table = sum(
        seconds for rule, seconds in expected.items() if rule not in measured and stage_of(rule) is not UNKNOWN
    )
    return by_table > sum(expected.values()) / 2


def pace(finished: Iterable[tuple[float, float]], doubt: float = 20.0) -> float:
    """Seconds taken for each one expected, over `finished` (taken, expected); near 1 until `doubt` seconds of them."""
    pairs = list(finished)
    return (doubt + sum(taken for taken, _ in pairs)) / (doubt + sum(expected for _, expected in pairs))


def log_tail(path: Path) -> str:
    """The end of a step's log; empty where there is none yet."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL_BYTES))
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def fraction_done(log: str, bars: int = 1) -> float | None:
    """Share of a step that is done, from the tqdm bars in its log: each of `bars` counts the same. None: no bar yet."""
    percents = [min(100, int(text)) for text in PERCENT.findall(log)]
    if not percents:
        return None
    bars_over = sum(later < earlier for earlier, later in pairwise(percents))
    return (bars_over + percents[-1] / 100) / max(bars, bars_over + 1)


def spent(log: str) -> str:
    """What a step that asks language models has spent so far, as its bar says it; empty for others."""
    found = SPENT.findall(log)
    return f"({found[-1]})" if found else ""


def seconds_left(expected: float, elapsed: float, done: float | None) -> float:
    """Seconds until a running step ends.

    Its whole time is guessed as a mean of `expected` and of `elapsed / done`, which weighs more as `done` grows.
    Without a bar in its log the clock alone counts, and a step that is late is nearly done.
    """
    if done is None:
        done = min(elapsed / expected, 0.95) if expected > 0 else 0.95
    return (1 - done) * ((1 - done) * expected + elapsed)


def run_seconds_left(steps: Iterable[tuple[str, float]], needs: Mapping[str, Iterable[str]], cores: int) -> float:
    """Seconds until the last of `steps` (rule, seconds) ends: all cores busy, or the longest chain of `needs`."""
    steps = list(steps)
    busy = sum(seconds * min(stage_of(rule).threads, cores) for rule, seconds in steps) / cores
    longest: dict[str, float] = {}
    for rule, seconds in steps:
        longest[rule] = max(seconds, longest.get(rule, 0.0))
    ends: dict[str, float] = {}

    def end(rule: str) -> float:
        if rule not in ends:
            ends[rule] = max(map(end, needs.get(rule, ())), default=0.0) + longest.get(rule, 0.0)
        return ends[rule]

    return max(busy, max(map(end, longest), default=0.0))

"""What a run will ask for and cost, said before the first call."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sparse_coding.interp.judge.judges import Panel
from sparse_coding.interp.judge.running import Task
from sparse_coding.interp.statistics import features_needed, half_width
from sparse_coding.llm.ledger import Price
from sparse_coding.llm.request import Request

BYTES_PER_TOKEN = 3.0  # of such prompts: numbered or tabbed lists of short JSON strings
EXPLANATION = "words of this kind, most of all at the end of what is said about them"  # of a usual length
LOOKED_AT = 8  # features whose questions are written out; the others are taken to be like them
USUAL_SD, DIFFERENCE = 0.25, 0.1  # of scores over features; between two dictionaries
WRITTEN = 0.55  # share of the longest answer that a usual one has


@dataclass(frozen=True)
class Forecast:
    """calls: in all; known: of these answered before; prompt, completion: tokens of the others; cost: USD."""

    features: int
    calls: int
    known: int
    prompt: float
    completion: float
    cost: float
    most_tokens: float  # if all were as long as they can be

    def plus(self, request: Request, times: float, price: Price) -> "Forecast":
        """With so many calls of this kind more."""
        text = str(request.body.get("messages") or request.body.get("prompt"))
        read = len(text.encode("utf-8", "surrogatepass")) / BYTES_PER_TOKEN
        written = request.most_completion_tokens * WRITTEN
        return replace(
            self,
            prompt=self.prompt + times * read,
            completion=self.completion + times * written,
            cost=self.cost + times * (price.prompt * read + price.completion * written) / 1e6,
            most_tokens=self.most_tokens + times * (request.most_prompt_tokens + request.most_completion_tokens),
        )

    def __str__(self) -> str:
        new = self.calls - self.known
        return (
            f"{self.features:,} features, {self.calls:,} calls, of which {self.known:,} were answered before: "
            f"about {new:,} new calls, {_short(self.prompt)} tokens read, {_short(self.completion)} written, "
            f"{self.cost:.2f} USD (at most {_short(self.most_tokens)} tokens)"
        )


def forecast(
    panel: Panel, tasks: Sequence[Task], price: Callable[[str], Price], is_known: Callable[[Request], bool]
) -> Forecast:
    """Ask nobody, and say what is to come. Retries after faults are not in it."""
    alive = [task for task in tasks if not task.calls_nobody]
    explain = [panel.explaining.request(task.case.train) for task in alive]
    new = [request for request in explain if not is_known(request)]
    judged = [panel.judge.requests(EXPLANATION, task.case) for task in alive[:LOOKED_AT]]
    times = len(new) / max(len(judged), 1)  # a feature whose explanation is known was judged too
    total = Forecast(len(alive), 0, 0, 0.0, 0.0, 0.0, 0.0)
    for requests, weight in [(new, 1.0), *((part, times) for part in judged)]:
        for request in requests:
            total = total.plus(request, weight, price(request.model))
    each = sum(map(len, judged)) / max(len(judged), 1)
    known = len(explain) - len(new)
    return replace(total, calls=round(len(alive) * (1 + each)), known=round(known * (1 + each)))


def _short(tokens: float) -> str:
    if tokens < 1e3:
        return f"{tokens:.0f}"
    return f"{tokens / 1e6:.2f} million" if tokens >= 1e6 else f"{tokens / 1e3:.0f} thousand"


def resolution(n: int) -> str:
    """What so many features of each dictionary can tell apart."""
    needed, twice = features_needed(DIFFERENCE, USUAL_SD), features_needed(DIFFERENCE / 2, USUAL_SD)
    return (
        f"With {n} features a mean is known to about ±{half_width(n, USUAL_SD):.2f} (95 %, at an sd of {USUAL_SD} over "
        f"features); a difference of {DIFFERENCE} between two dictionaries takes {needed} of each, one of "
        f"{DIFFERENCE / 2} takes {twice} (power 0.8)"
    )

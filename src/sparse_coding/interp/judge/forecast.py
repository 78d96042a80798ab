"""What a run will ask for and cost, said before the first call."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from sparse_coding.interp.explainers import Explanation
from sparse_coding.interp.judge.explaining import Words
from sparse_coding.interp.judge.questions import ATTEMPTS
from sparse_coding.interp.judge.running import Task
from sparse_coding.interp.panel import Panel
from sparse_coding.interp.statistics import features_needed, half_width
from sparse_coding.llm.answers import Cut, Unusable
from sparse_coding.llm.client import Answer
from sparse_coding.llm.ledger import Price
from sparse_coding.llm.request import Request

BYTES_PER_TOKEN = 3.0  # of such prompts, numbered or tabbed lists of short JSON strings, before the model was seen
EXPLANATION = Words("words of this kind, most of all at the end of what is said about them")  # of a usual length
LOOKED_AT = 8  # features whose questions are written out; the others are taken to be like them
LOOKED_UP = 32  # features with an explanation whose other questions are looked up
USUAL_SD, DIFFERENCE = 0.25, 0.1  # of scores over features; between two dictionaries
WRITTEN = 0.55  # share of the longest answer that a usual one has


Item = TypeVar("Item")


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

    def plus(self, request: Request, times: float, price: Price, bytes_per_token: float) -> "Forecast":
        """With so many calls of this kind more, at the full price: nobody knows what will be in a server's cache."""
        read = bytes_of(request) / bytes_per_token
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
    panel: Panel,
    tasks: Sequence[Task],
    price: Callable[[str], Price],
    known: Callable[[Request], Answer | None],
    bytes_per_token: Mapping[str, float] | None = None,
) -> Forecast:
    """Ask nobody, and say what is to come. `known`: kept answers. Retries after faults are not in it.

    bytes_per_token: of models, where it was seen.
    """
    seen = bytes_per_token or {}
    alive = [task for task in tasks if not task.calls_nobody]
    found = [_explained(panel, task, known) for task in alive]
    new = [request for request, _ in found if request is not None]
    # An explanation that is known may be another scorer's or for another judge: its questions are looked up.
    explained = [(task, said) for task, (_, said) in zip(alive, found, strict=True) if said is not None]
    looked_up = _evenly(explained, LOOKED_UP)
    later = [each.asked(known) for task, said in looked_up for each in panel.judge.questions(said, task.case)]
    to_come = [request for request in later if known(request) is None]
    judged = [[each.request for each in panel.judge.questions(EXPLANATION, task.case)] for task in alive[:LOOKED_AT]]
    each = sum(map(len, judged)) / max(len(judged), 1)

    total = Forecast(len(alive), 0, 0, 0.0, 0.0, 0.0, 0.0)
    times, share = len(new) / max(len(judged), 1), len(explained) / max(len(looked_up), 1)
    for requests, weight in [(new, 1.0), *((part, times) for part in judged), (to_come, share)]:
        for request in requests:
            size = seen.get(request.model, BYTES_PER_TOKEN)
            total = total.plus(request, weight, price(request.model), size)
    explained_by = int(panel.explainer is not None)  # calls of a feature
    calls = round(len(alive) * (explained_by + each))
    return replace(total, calls=calls, known=calls - round(len(new) * (1 + each) + len(to_come) * share))


def bytes_of(request: Request) -> int:
    """The length of what is read, as tokens are guessed from it."""
    text = str(request.body.get("messages") or request.body.get("prompt"))
    return len(text.encode("utf-8", "surrogatepass"))


def _explained(
    panel: Panel, task: Task, known: Callable[[Request], Answer | None]
) -> tuple[Request | None, Explanation | None]:
    """What is still to be asked for an explanation, and the one that is known; neither where it failed.

    An explanation that nobody needs is known, and empty.
    """
    if panel.explainer is None:
        return None, Words("")
    (question,) = panel.explainer.questions(task.case.train)
    was_cut = False
    for attempt in range(ATTEMPTS):
        asked = question.request.again(attempt, was_cut)
        answer = known(asked)
        if answer is None:
            return asked, None
        try:
            return None, panel.explainer.explained(task.case.train, [question.parse(answer)])
        except Unusable as error:
            was_cut = isinstance(error, Cut)
    return None, None


def _evenly(values: Sequence[Item], n: int) -> Sequence[Item]:
    """At most `n` of them, from the first to the last."""
    if len(values) <= n:
        return values
    return [values[place * (len(values) - 1) // (n - 1)] for place in range(n)]


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

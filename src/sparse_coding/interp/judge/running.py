"""Work through many features with calls under way side by side, and stop in good order."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sparse_coding.errors import Paused, Unanswered
from sparse_coding.interp.explainers import Explanation
from sparse_coding.interp.judge.questions import together
from sparse_coding.interp.panel import Panel
from sparse_coding.interp.scores import FeatureScore, Scores
from sparse_coding.llm import heard
from sparse_coding.llm.client import Client
from sparse_coding.llm.faults import CallFailed

CALLS_EACH = 8  # about as many calls of one feature are under way at a time
MOST_IN_A_ROW = 10  # features without a usable answer: then the model, or the server, is not fit for it
AGAIN = "the same command again: no answer that was received is asked for twice"


@dataclass(frozen=True)
class Task:
    """One feature of a dictionary under one condition; `case` as the judge made it."""

    dictionary: str
    condition: str
    case: Any

    @property
    def calls_nobody(self) -> bool:
        """Whether its row is known already."""
        return isinstance(self.case, FeatureScore)


Answered = tuple[set[str], set[str]]  # what they call themselves who explained a feature, and who judged


@dataclass(frozen=True)
class Outcome:
    """scores: of each task that was finished, by its place in the list; answered: by whom.

    left: places of those that the server gave no row for; stopped: why not all are finished, a cap or the server.
    """

    scores: dict[int, Scores]
    stopped: Paused | Unanswered | None
    answered: dict[int, Answered]
    left: frozenset[int] = frozenset()


class Running:
    """One run. Features are begun in the order of `tasks`; `told` hears of each that is finished."""

    def __init__(self, client: Client, panel: Panel, tasks: Sequence[Task], told: Callable[[], object]) -> None:
        self.client, self.panel, self.tasks, self.told = client, panel, tasks, told
        self.scores: dict[int, Scores] = {}
        self.answered: dict[int, Answered] = {}
        self._left: dict[int, CallFailed] = {}  # by the server, without what a row needs
        self._in_a_row: list[CallFailed] = []  # since the last feature with an answer
        self._over = False

    async def all(self) -> Outcome:
        """Score every task. What the server gave no answer to is asked for once more at the end.

        Raises Unanswered where ten features in a row failed, some of them by the model's words, and ServerStops.
        """
        try:
            await self._through(range(len(self.tasks)))
            silent = [index for index, failed in self._left.items() if failed.by == "server"]
            self._in_a_row.clear()  # these would count twice
            await self._through(silent)
        except (Paused, Unanswered) as stopped:
            if isinstance(stopped, Unanswered) and any(failed.by == "words" for failed in self._in_a_row):
                raise  # the model is not fit for it: not even a part of the table is of use
            return Outcome(self.scores, stopped, self.answered, frozenset(self._left))
        return Outcome(self.scores, self._unanswered(), self.answered, frozenset(self._left))

    def _unanswered(self) -> Unanswered | None:
        """The end of a run that went through, with features that the server left without a row."""
        if not self._left:
            return None
        failed = list(self._left.values())
        short = [each for each in failed if each.by == "context"]
        worst = max(short, key=_needed, default=failed[0])
        why = f", {len(short)} of them for {worst.overflow}" if short else ""
        found = f"no answer for {len(failed)} of {len(self.tasks)} features{why} ({worst.reason})"
        larger = "a larger context of the server, or a smaller dataset.fragment_tokens; then " if short else ""
        return Unanswered(self.client.reach.base_url, found, larger + AGAIN)

    async def _through(self, indices: Sequence[int]) -> None:
        """Several features side by side. When one ends the run, the others end what they have begun."""
        waiting = iter(indices)
        workers = max(2, -(-self.client.reach.in_flight // CALLS_EACH))
        ended = await asyncio.gather(*(self._work(waiting) for _ in range(workers)), return_exceptions=True)
        errors = [error for error in ended if isinstance(error, BaseException)]
        # Reaching a cap is the mildest: it must not hide a server that is gone.
        for error in sorted(errors, key=lambda error: isinstance(error, Paused)):
            raise error

    async def _work(self, waiting: Iterator[int]) -> None:
        for index in waiting:
            if self._over:
                return
            try:
                await self._one(index)
            except BaseException:
                self._over = True
                raise

    async def _one(self, index: int) -> None:
        case, explanation = self.tasks[index].case, None
        if self.tasks[index].calls_nobody:
            self._finish(index, dict.fromkeys(self.panel.judge.sources, case))
            return
        explainer, judge = self.panel.explainer, self.panel.judge
        explained, judged = self.answered[index] = set(), set()
        try:
            if explainer is not None:
                with heard.listening(explained):
                    said = await together(self.client, explainer.questions(case.train))
                explanation = explainer.explained(case.train, said)
            with heard.listening(judged):
                answers = await together(self.client, judge.questions(explanation, case))
            self._finish(index, self.panel.scores(explanation, case, answers))
            self._in_a_row.clear()
        except CallFailed as failed:
            if failed.by == "words":
                self._finish(index, self._failed(index, failed.reason, explanation))
            else:
                self._left[index] = failed
            self._in_a_row.append(failed)
            if len(self._in_a_row) >= MOST_IN_A_ROW:
                found = f"{MOST_IN_A_ROW} features in a row without an answer that can be used ({failed.reason})"
                raise Unanswered(self.client.reach.base_url, found, f"a model that answers; then {AGAIN}") from None

    def _failed(self, index: int, reason: str, explanation: Explanation | None) -> Scores:
        case = self.tasks[index].case
        said = None if explanation is None else explanation.text
        row = FeatureScore(case.feature, "failed", case.n_firing_fragments, reason, said)
        return dict.fromkeys(self.panel.judge.sources, row)

    def _finish(self, index: int, scores: Scores) -> None:
        self.scores[index] = scores
        self._left.pop(index, None)
        self.told()


def _needed(failed: CallFailed) -> int:
    return (failed.overflow and failed.overflow.needed) or 0

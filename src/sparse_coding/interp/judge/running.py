"""Work through many features with calls under way side by side, and stop in good order."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparse_coding.errors import BadInput, Paused
from sparse_coding.interp.judge.judged import Scores
from sparse_coding.interp.judge.judges import Panel
from sparse_coding.interp.judge.questions import usable
from sparse_coding.interp.scores import FeatureScore
from sparse_coding.llm import heard
from sparse_coding.llm.client import Client
from sparse_coding.llm.faults import CallFailed

CALLS_EACH = 8  # about as many calls of one feature are under way at a time
MOST_IN_A_ROW = 10  # features without a usable answer: then the model, or the server, is not fit for it
MOST_WITHOUT_ANSWER = 0.02  # share of features that the server may leave without an answer at the end
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
    """scores: of each task that was finished, by its place in the list; paused: why not all were; answered: by whom."""

    scores: dict[int, Scores]
    paused: Paused | None
    answered: dict[int, Answered]


class Running:
    """One run. Features are begun in the order of `tasks`; `told` hears of each that is finished."""

    def __init__(self, client: Client, panel: Panel, tasks: Sequence[Task], told: Callable[[], object]) -> None:
        self.client, self.panel, self.tasks, self.told = client, panel, tasks, told
        self.scores: dict[int, Scores] = {}
        self.answered: dict[int, Answered] = {}
        self._unanswered: dict[int, CallFailed] = {}
        self._failed_in_a_row = 0
        self._over = False

    async def all(self) -> Outcome:
        """Score every task. What the server left without an answer is asked for once more at the end.

        Raises BadInput where the server or the model is of no use, or more than MOST_WITHOUT_ANSWER have no answer.
        """
        try:
            await self._through(range(len(self.tasks)))
            await self._through([index for index in self._unanswered if index not in self.scores])
        except Paused as paused:
            return Outcome(self.scores, paused, self.answered)
        missing = [index for index in self._unanswered if index not in self.scores]
        if len(missing) > MOST_WITHOUT_ANSWER * len(self.tasks):
            found = (
                f"no answer for {len(missing)} of {len(self.tasks)} features ({self._unanswered[missing[0]].reason})"
            )
            raise BadInput(self.client.reach.base_url, found, AGAIN)
        for index in missing:
            self.scores[index] = self._failed(index, self._unanswered[index].reason, None)
        return Outcome(self.scores, None, self.answered)

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
        task, explanation = self.tasks[index], None
        if task.calls_nobody:
            self._finish(index, dict.fromkeys(self.panel.judge.sources, task.case))
            return
        explaining, judge = self.panel.explaining, self.panel.judge
        explained, judged = self.answered[index] = set(), set()
        try:
            if explaining is not None:
                with heard.listening(explained):
                    explanation = await usable(self.client, explaining.request(task.case.train), explaining.parse)
            with heard.listening(judged):
                scores = await judge.score(self.client, explanation or "", task.case)
            self._finish(index, scores)
            self._failed_in_a_row = 0
        except CallFailed as failed:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= MOST_IN_A_ROW:
                found = f"{MOST_IN_A_ROW} features in a row without an answer that can be used ({failed.reason})"
                raise BadInput(self.client.reach.base_url, found, f"a model that answers; then {AGAIN}") from None
            if failed.is_transport:
                self._unanswered[index] = failed
            else:
                self._finish(index, self._failed(index, failed.reason, explanation))

    def _failed(self, index: int, reason: str, explanation: str | None) -> Scores:
        case = self.tasks[index].case
        row = FeatureScore(case.feature, "failed", case.n_firing_fragments, reason)
        return dict.fromkeys(self.panel.judge.sources, replace(row, explanation=explanation))

    def _finish(self, index: int, scores: Scores) -> None:
        self.scores[index] = scores
        self.told()

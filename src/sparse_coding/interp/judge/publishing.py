"""What of a run may be a table: all features, or where a part is wanted, equally many of each dictionary."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set

from sparse_coding.errors import Paused, Unanswered
from sparse_coding.interp.judge.running import Outcome, Task
from sparse_coding.interp.scores import Scores

Column = list[Task]  # the features of one dictionary under one condition
MOST_FAILED, CAPS = "autointerp.llm.most_failed", "autointerp.llm.connection"
MORE = "more: raise max_cost, max_tokens or max_requests and run the same command again; what was answered is kept"


def publishable(
    columns: Sequence[Column], tasks: Sequence[Task], outcome: Outcome, is_partial: bool, most_failed: float
) -> list[Column]:
    """The tasks of each column that have a row, in their order.

    columns: the tasks, dictionary by dictionary; tasks: the same in the order of the run. Without what the server left
    unanswered, as many of the first of each column as all have; a column with fewer features is whole.
    Raises what stopped the run, unless a part is wanted, and there is one; Unanswered where of a column more than
    `most_failed` of those that models were asked about failed by the models' words.
    """
    finished = {id(tasks[index]): scores for index, scores in outcome.scores.items()}
    if outcome.stopped is not None and not is_partial:
        raise outcome.stopped
    left = {id(tasks[index]) for index in outcome.left}
    found = [_leading(column, finished, left) for column in columns]
    short = [len(kept) for kept, column in zip(found, columns, strict=True) if len(kept) < len(column)]
    if outcome.stopped is not None and min(short, default=1) == 0:
        if isinstance(outcome.stopped, Unanswered):
            raise outcome.stopped
        raise Paused(CAPS, "a cap before one feature of each dictionary was finished", MORE) from outcome.stopped
    found = [kept[: min(short, default=len(kept))] for kept in found]
    for kept in found:
        _check(kept, finished, most_failed)
    return found


def _leading(column: Column, finished: Mapping[int, Scores], left: Set[int]) -> Column:
    """Those that are finished, up to the first that a cap cut off."""
    asked = [task for task in column if id(task) not in left]
    count = next((place for place, task in enumerate(asked) if id(task) not in finished), len(asked))
    return asked[:count]


def _check(column: Column, finished: Mapping[int, Scores], most_failed: float) -> None:
    asked = [task for task in column if not task.calls_nobody]
    failed = [reasons for task in asked if (reasons := _reasons(finished[id(task)]))]
    if not failed or len(failed) / len(asked) <= most_failed:  # a product would round: 29 of 100 are 0.29
        return
    often = Counter(reason for reasons in failed for reason in set(reasons)).most_common(1)[0][0]
    raise Unanswered(
        MOST_FAILED,
        f"{len(failed)} of {len(asked)} features of {column[0].dictionary} ({column[0].condition}) without an answer "
        f"that can be used, {len(failed) / len(asked):.0%} (most often: {often})",
        f"at most {most_failed:.0%}: other models, more room for their answers, or a higher most_failed; the same "
        "command again asks for nothing that was answered",
    )


def _reasons(scores: Scores) -> list[str]:
    """Why a feature failed; empty where one of its sources did not: probabilities may be missing alone."""
    rows = list(scores.values())
    return [row.reason or "" for row in rows] if all(row.status == "failed" for row in rows) else []

"""What the scores of panel c are: what was measured, by whom, and from what kind of answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sparse_coding.errors import BadInput
from sparse_coding.interp.measures import BY_SCORER, CORRELATION, Measure
from sparse_coding.interp.one_model import ANSWERED, ONE, mixed
from sparse_coding.settings.params import WHOLE_TEXTS

NAMES = {"token-rules": "token-rules (no LLM)"}
CLASSIFIERS = ("detection", "fuzzing")
MEASURED = {  # by column, as an axis has it
    "top_and_random": "top-and-random correlation",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "intruders found",
    "auc": "AUC",
}
SOURCES = {  # the best first
    "rules": "rules",
    "logprob_ev": "expected values from token probabilities",
    "sampled": "the digits that the model wrote",
    "echo": "probabilities of an echoed prompt",
    "answers": "yes-no answers",
    "choices": "one of five",
    "cosines": "cosines of sentence embeddings",
}
LONGEST_NAME = 40  # letters of a model's name on an axis

_SAME = ["scorer", "explainer", "judge", "simulator", "mode", "choice", "prompts"]
_JUDGED = ["shown", "server"]  # columns of tables of language models alone


@dataclass(frozen=True)
class Scorer:
    """How all scores of one axis came about. why: the reason for `source`.

    prompts: their digest, None for rules; shown, server: what the explainer saw, who was asked.
    """

    scorer: str
    explainer: str
    judge: str
    simulator: str
    mode: str
    choice: str
    prompts: str | None
    source: str
    why: str
    shown: str = ""
    server: str = ""

    @property
    def is_llm(self) -> bool:
        """Whether language models explained and judged."""
        return self.prompts is not None

    @property
    def is_classifier(self) -> bool:
        """Whether texts were told apart by yes or no."""
        return self.scorer in CLASSIFIERS

    @property
    def is_correlation(self) -> bool:
        """Whether scores are correlations of activations."""
        return self.measure == CORRELATION

    @property
    def is_explained(self) -> bool:
        """Whether there are explanations at all: intruders are found without."""
        return self.scorer != "intruder"

    @property
    def measure(self) -> Measure:
        """What the scores are: a column of the table, and what knowing nothing gives."""
        return BY_SCORER[self.scorer]

    @property
    def has_null(self) -> bool:
        """Whether shuffled positions are a null: they change nothing where whole texts are told apart."""
        return self.scorer not in WHOLE_TEXTS

    @property
    def name(self) -> str:
        """As titles have it."""
        return NAMES.get(self.scorer, self.scorer)

    @property
    def models(self) -> list[str]:
        """Who explained and who judged, as titles have it."""
        if not self.is_llm:
            return []
        explainer = [f"explainer: {_short(self.explainer)}"] if self.is_explained else []
        return [*explainer, f"judge: {_short(self.judge)}"]

    @property
    def axis(self) -> str:
        """The label of the panel's axis."""
        judge = f" (judge {_short(self.judge)})" if self.is_llm else ""
        chance = "" if self.is_correlation else f" (chance {self.measure.chance:g})"
        return f"{self.name} score{judge}:\n{MEASURED[self.measure.column]}{chance}"


def _short(model: str) -> str:
    """The end of a long name tells more than its beginning, often a folder."""
    return model if len(model) <= LONGEST_NAME else f"…{model[1 - LONGEST_NAME :]}"


def shared(tables: Mapping[Path, pd.DataFrame]) -> Scorer:
    """The scorer of all `tables`, and the best source that every feature of theirs has.

    Raises BadInput, naming the files, where they differ in who scored and how, or have no such source in common.
    """
    same = [*_SAME, *(name for name in _JUDGED if any(name in table for table in tables.values()))]
    values = {name: sorted({value for table in tables.values() for value in _texts_in(table, name)}) for name in same}
    differing = [f"{name} {' and '.join(found)}" for name, found in values.items() if len(found) > 1]
    if differing:
        raise BadInput(_places(tables), "; ".join(differing), f"one {', '.join(same)} on one axis")
    if several := mixed(row for table in tables.values() for row in _answered(table)):
        raise BadInput(_places(tables), several, ONE)
    source, why = _source(tables)
    about = next(iter(tables.values())).iloc[0]
    prompts = None if pd.isna(about["prompts"]) else str(about["prompts"])
    asked = {name: str(about[name]) for name in _JUDGED if name in about and not pd.isna(about[name])}
    return Scorer(**{name: about[name] for name in _SAME[:-1]}, prompts=prompts, source=source, why=why, **asked)


def _answered(table: pd.DataFrame) -> list[dict[str, str]]:
    columns = table[[name for name in ANSWERED if name in table]].drop_duplicates()
    return [
        {str(name): str(value) for name, value in row.items() if not pd.isna(value)} for _, row in columns.iterrows()
    ]


def _texts_in(table: pd.DataFrame, name: str) -> list[str]:
    return _texts(table[name]) if name in table else ["none"]


def _texts(values: pd.Series) -> list[str]:
    return ["none" if pd.isna(value) else str(value) for value in values.unique()]


def _places(tables: Mapping[Path, pd.DataFrame]) -> str:
    return ", ".join(map(str, tables))


def _source(tables: Mapping[Path, pd.DataFrame]) -> tuple[str, str]:
    """One source for all, since two are never mixed, and why it is this one."""
    present = [
        set(part["source"]) for table in tables.values() for _, part in table.groupby(["site", "name", "condition"])
    ]
    known = [source for source in SOURCES if any(source in each for each in present)]
    common = [source for source in known if all(source in each for each in present)]
    lacking = {source: sum(_lacking(table, source) for table in tables.values()) for source in common}
    chosen = next((source for source in common if not lacking[source]), None)
    if chosen is None:
        found = " and ".join(f"source {', '.join(_texts(table['source']))} in {path}" for path, table in tables.items())
        raise BadInput(_places(tables), found, "a source that every feature of all of them has")
    if len(known) == 1:
        return chosen, "the only source in the tables"
    best = known[0]
    if chosen == best:
        return chosen, "which all features have"
    if best in lacking:
        return chosen, f"because {lacking[best]:,} features have no {SOURCES[best]}"
    return chosen, f"because not all tables have {SOURCES[best]}"


def _lacking(table: pd.DataFrame, source: str) -> int:
    """Features that were answered, but not in the way that `source` needs."""
    failed = table[table["status"] == "failed"]
    keys = ["site", "name", "condition", "feature"]
    answered = table.loc[table["status"] != "failed", keys].drop_duplicates()
    return len(failed[failed["source"] == source].merge(answered, on=keys))

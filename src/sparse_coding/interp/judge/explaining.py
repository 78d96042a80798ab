"""The explainer: from fragments with activations to a sentence (Bills et al. 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparse_coding.interp.explainers import Records, discretise
from sparse_coding.interp.judge.prompts import quoted
from sparse_coding.interp.judge.questions import Asked, Question
from sparse_coding.llm.answers import sentence_of

SPARSE = 0.2  # share of levels that are not 0, below which those are listed once more by themselves
PLACES = frozenset({"records"})


@dataclass(frozen=True)
class Words:
    """An explanation in words."""

    text: str
    n_rules: None = None


@dataclass(frozen=True)
class Explaining:
    """A model that explains; tokens: most of an explanation."""

    asked: Asked
    vocabulary: Sequence[str]
    tokens: int

    @property
    def digest(self) -> str:
        """See Explainer."""
        return self.asked.digest

    def questions(self, records: Records) -> list[Question]:
        """One."""
        return [Question(self.asked.chat({"records": shown(records, self.vocabulary)}, self.tokens), sentence_of)]

    @staticmethod
    def explained(records: Records, answers: Sequence[str]) -> Words:
        """What it said."""
        return Words(answers[0])


def shown(records: Records, vocabulary: Sequence[str]) -> str:
    """The records as the explainer sees them: levels 0 to 10, and where they are few those above 0 once more."""
    levels = discretise(records.activations)
    lines = [
        [f"{quoted(vocabulary[token])}\t{level}" for token, level in zip(tokens, row, strict=True)]
        for tokens, row in zip(records.tokens, levels, strict=True)
    ]
    text = "\n".join("\n".join(["<start>", *record, "<end>"]) for record in lines)
    if np.count_nonzero(levels) < SPARSE * levels.size:
        active = [line for record in lines for line in record if not line.endswith("\t0")]
        text += "\n\nThe same without what is off:\n" + "\n".join(active)
    return text

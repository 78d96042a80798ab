"""The explainer: from fragments with activations to a sentence (Bills et al. 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparse_coding.interp.explainers import Records, discretise
from sparse_coding.interp.judge.prompts import Prompt, quoted
from sparse_coding.interp.judge.questions import Style
from sparse_coding.llm.answers import sentence_of
from sparse_coding.llm.client import Answer
from sparse_coding.llm.request import Request

SPARSE = 0.2  # share of levels that are not 0, below which those are listed once more by themselves
PLACES = frozenset({"records"})


@dataclass(frozen=True)
class Explaining:
    """A model that explains; tokens: most of an explanation."""

    prompt: Prompt
    style: Style
    model: str
    vocabulary: Sequence[str]
    tokens: int

    def request(self, records: Records) -> Request:
        """What it is asked about these records."""
        messages = self.prompt.filled(records=shown(records, self.vocabulary))
        return self.style.chat(self.model, messages, self.tokens)

    @staticmethod
    def parse(answer: Answer) -> str:
        """The explanation. Raises Unusable where there is none."""
        return sentence_of(answer)


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

"""Explainers and judges of any kind go together: rules that are computed, and what asks a language model."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from sparse_coding.interp.cases import Feature
from sparse_coding.interp.judge.choosing import ORIGINAL
from sparse_coding.interp.judge.embedding import Embedding
from sparse_coding.interp.judge.questions import Question
from sparse_coding.interp.judge.running import Running, Task
from sparse_coding.interp.panel import Explainer, Judge, Panel
from sparse_coding.interp.simulation import Simulator
from sparse_coding.interp.token_rules import panel
from sparse_coding.llm.request import Request
from tests.interp import planted
from tests.llm.asking import Desk

TEXT = planted.fragments(planted.tokens())
RULES = panel(TEXT, 3)
KINDS = ("token", "bigram", "within", "digits")


def counts(texts):
    """A word is a dimension, whatever signs stand around it."""
    words = {text.strip(): number for number, text in enumerate(planted.VOCABULARY)}
    rows = np.zeros((len(texts), len(words)))
    for row, text in zip(rows, texts, strict=True):
        np.add.at(row, [words[word] for each in text.split() if (word := each.strip("';")) in words], 1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_rules_go_the_way_of_language_models_and_ask_nobody(tmp_path):
    features = [Feature(number, planted.activations(kind, TEXT.tokens)) for number, kind in enumerate(KINDS)]
    features += [Feature(9, features[0].activations, shuffled=True), Feature(10, 0 * features[0].activations)]
    tasks = [Task("d", "plain", RULES.judge.case(feature)) for feature in features]
    desk = Desk(tmp_path, "http://127.0.0.1:1/v1")  # nobody is there

    async def run():
        async with desk.client() as client:
            return await Running(client, RULES, tasks, lambda: None).all()

    outcome = asyncio.run(run())
    assert [outcome.scores[place] for place in range(len(features))] == [RULES.computed(each) for each in features]
    assert outcome.stopped is None
    assert {score["rules"].status for score in outcome.scores.values()} == {"ok", "dead"}
    assert desk.ledger.spent().requests == 0


def test_what_rules_explain_another_judge_may_test():
    judge = Embedding(TEXT, 20, ORIGINAL, "cosine", counts, "0123")
    feature = Feature(0, planted.activations("token", TEXT.tokens))
    row = Panel(RULES.explainer, judge).computed(feature)["cosines"]
    by_rules = RULES.computed(feature)["rules"]
    assert row.auc > 0.9
    assert (row.explanation, row.n_rules) == (by_rules.explanation, by_rules.n_rules)
    assert planted.VOCABULARY[planted.RARE].strip() in row.explanation


def test_digests_are_those_of_the_prompts_that_there_are():
    judge = Embedding(TEXT, 20, ORIGINAL, "cosine", counts, "0123")
    explainer = SimpleNamespace(digest="89ab", questions=list, explained=list)
    assert RULES.digest is None
    assert [Panel(who, judge).digest for who in (None, RULES.explainer, explainer)] == ["0123", "0123", "89ab+0123"]


def test_each_is_what_it_is_said_to_be():
    assert isinstance(RULES.explainer, Explainer)
    assert isinstance(RULES.judge, Judge)
    assert isinstance(RULES.judge.by, Simulator)


@pytest.mark.parametrize(("kept", "asked"), [((), "new"), (("old",), "old"), (("old", "new"), "new")])
def test_an_answer_to_the_older_form_of_a_question_serves_where_there_is_no_other(kept, asked):
    new, old = (Request("chat/completions", {"model": model}) for model in ("new", "old"))
    question = Question(new, dict, older=old)
    assert question.asked(lambda request: {} if request.model in kept else None).model == asked

"""Processor time and memory of stage transformer, from its settings."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse_coding.forecast.counting import corpus, memory
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.forecast.probing import pretraining
from sparse_coding.forecast.probing.processor import Costs
from sparse_coding.settings import jobs
from sparse_coding.settings.params import Params, Transformer

SMALL = {"d_model": 16, "layers": 2, "heads": 2, "context": 32, "batch": 8, "vocabulary": 300, "corpus": "not/here"}


def test_time_grows_with_the_steps_and_each_step_counts():
    """A step that is tried with fewer blocks than it has takes what the rest of them take more."""
    short, long, wide = (
        pretraining.seconds(Transformer.model_validate(SMALL | changes), 300)
        for changes in ({"steps": 1000}, {"steps": 3000}, {"steps": 1000, "batch": 256})
    )
    assert long / short == pytest.approx(3, rel=0.5)
    assert wide > 4 * short


def test_the_job_is_in_the_forecast(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    params = Params.model_validate(
        {"model": {"name": "models/mine"}, "transformer": SMALL | {"name": "mine", "documents": 1000, "steps": 20}}
    )
    sizes, job = Sizes(params), jobs.of_params(params)["transformer"]
    assert Costs(sizes).of_job(job) > pretraining.BPE * 1000 * corpus.DOCUMENT_TOKENS
    more = params.model_copy(update={"transformer": params.transformer.model_copy(update={"documents": 10**6})})
    grown = memory.of_job(jobs.of_params(more)["transformer"], Sizes(more), 1) - memory.of_job(job, sizes, 1)
    texts = (10**6 - 1000) * corpus.DOCUMENT_TOKENS * corpus.BYTES_A_TOKEN
    assert grown >= corpus.HELD * texts


@settings(max_examples=20, deadline=None)
@given(small=st.integers(257, 60_000), more=st.integers(1, 60_000))
def test_more_entries_make_longer_tokens(small, more):
    own = Transformer.model_validate(SMALL | {"documents": 5000})
    few, many = corpus.training_tokens(own, small + more), corpus.training_tokens(own, small)
    assert corpus.training_bytes(own) / 3.8 <= few <= many <= corpus.training_bytes(own)

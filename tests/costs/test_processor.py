"""Processor time from probes: it grows with what there is to do, and follows the L0 that is assumed."""

import pytest

from sparse_coding.costs import assumed
from sparse_coding.costs.processor import Costs
from sparse_coding.costs.training import StepTimes
from sparse_coding.forecast import jobs, page
from sparse_coding.forecast.vectors import Sizes
from sparse_coding.params import Params
from tests.forecast.test_jobs import PARAMS
from tests.tiny_model import make_tiny_model


def test_l0_is_exact_for_topk_and_falls_with_the_l1():
    assert assumed.settled_l0(None, 8, 512, 128) == 8
    assert assumed.settled_l0(0.002, None, 512, 128) == pytest.approx(9)
    found = [assumed.settled_l0(l1, None, 512, 128) for l1 in (0.0, 0.0003, 0.001, 0.01)]
    assert found == sorted(found, reverse=True)
    assert found[0] == 256
    assert assumed.mean_l0(9, 512, 0.1, 0.1) > 9
    assert assumed.mean_l0(9, 512, 0.1, 0.0) == 9


def test_a_step_of_dense_codes_is_dense():
    times = StepTimes(few_l0=2, few=1.0, many_l0=30, many=2.0, dense=5.0)
    assert times.at(16, 512) == pytest.approx(1.5)
    assert times.at(0.3 * 512, 512) == 5


def test_every_job_has_its_time_and_the_page_shows_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_tiny_model(tmp_path / "models" / "tiny", layers=2)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("some text")
    params = Params.model_validate(PARAMS | {"baselines": {"topk": [4], "ica_rows": 500, "nmf_rows": 500}})
    costs = Costs(Sizes(params))
    seconds = {name: costs.of_job(job) for name, job in jobs.of_params(params).items()}
    assert min(seconds.values()) > 0
    longer = params.model_copy(update={"dictionaries": params.dictionaries.model_copy(update={"steps": 5000})})
    grown = Costs(Sizes(longer))
    name = "dictionaries_layer1_residual_tied_r2"
    assert grown.of_job(jobs.of_params(longer)[name]) > 1.5 * seconds[name]
    said = page.page(params, 2, seconds)
    assert "of processor, about" in said
    assert "dictionaries" in said

"""Processor time from probes: it grows with what there is to do, and follows the L0 that is assumed."""

import re

import pytest

from sparse_coding.forecast.counting import page
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.forecast.probing import assumed, training
from sparse_coding.forecast.probing.processor import Costs
from sparse_coding.forecast.probing.training import StepTimes
from sparse_coding.settings import jobs
from sparse_coding.settings.params import Params
from tests.settings.test_jobs import PARAMS
from tests.tiny_model import make_tiny_model


def test_l0_is_exact_for_topk_and_falls_with_the_l1():
    assert assumed.settled_l0("k", 8, 512, 128) == assumed.settled_l0("l0", 8, 512, 128) == 8
    assert assumed.settled_l0("l0", 999, 512, 128) == 512
    assert assumed.settled_l0("l1", 0.002, 512, 128) == pytest.approx(9)
    found = [assumed.settled_l0("l1", l1, 512, 128) for l1 in (0.0, 0.0003, 0.001, 0.01)]
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
    assert "Not known before" not in said


def test_what_is_not_known_is_said_as_a_range(tmp_path, monkeypatch):
    """L0 in training with an L1, which TopK and --l0 know; the range holds what the forecast says."""
    monkeypatch.chdir(tmp_path)
    make_tiny_model(tmp_path / "models" / "tiny", layers=2)
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "one.txt").write_text("some text")
    # Steps of so few features are too short for probes to tell their L0 apart, so their times are given.
    monkeypatch.setattr(training, "step_times", lambda *shape: StepTimes(0.1, 1e-3, 3.0, 4e-3, 2e-2))
    long = {"dictionaries": {"steps": 100_000}, "baselines": {"methods": ["pca"], "topk": [], "topk_methods": []}}
    params = Params.model_validate(PARAMS | long | {"grid": PARAMS["grid"] | {"l1": [0.05]}})
    every = {name: job for name, job in jobs.of_params(params).items() if job.stage != "toy"}
    costs, seconds = Costs(Sizes(params)), dict.fromkeys(every, 10_000.0)
    least, most = ({name: costs.between(job, seconds[name])[end] for name, job in every.items()} for end in (0, 1))
    assert all(least[name] <= seconds[name] <= most[name] for name in every)
    wide = {name for name in every if most[name] > least[name]}
    assert wide == {name for name in every if name.startswith("dictionaries") and "topk" not in name}
    told = Costs(Sizes(params), l0=10)
    assert all(len(set(told.between(every[name], 1.0))) == 1 for name in wide)
    toy = {name: 1.0 for name, job in jobs.of_params(params).items() if job.stage == "toy"}
    said = page.page(params, 2, seconds | toy, (least | toy, most | toy))
    assert re.search(
        r"three times as many, \S+ (s|min|h) to \S+ (s|min|h) of processor, \S+ \w+ to \S+ \w+ on the clock", said
    )
    assert "Not known" not in page.page(params, 2, seconds | toy, (seconds | toy, seconds | toy))

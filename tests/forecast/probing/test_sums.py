"""What probes are multiplied by: each is set to a time that is easy to see, and the sum is done by hand."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sparse_coding.core.baselines import ica, work
from sparse_coding.core.baselines.contract import Work
from sparse_coding.forecast.counting import corpus, disk, memory
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.forecast.probing import evaluating, fitting, interpreting, probe, processor, starting, training
from sparse_coding.forecast.probing.assumed import settled_l0
from sparse_coding.forecast.probing.processor import Costs
from sparse_coding.forecast.probing.training import StepTimes
from sparse_coding.portions.baselines import nmf_rows
from sparse_coding.settings import jobs
from sparse_coding.settings.params import Params
from sparse_coding.settings.params.dictionaries import JumpReLU, TopK, Training, Untied

CONFIG = {
    "model_type": "gpt_neox",
    "num_hidden_layers": 6,
    "hidden_size": 12,
    "intermediate_size": 24,
    "vocab_size": 50,
}
SITE = "layer3_residual"
TOKENS = {
    "train_tokens": 600,
    "held_out_tokens": 200,
    "context": 10,
    "fragments": 7,
    "fragment_tokens": 5,
    "bos": "never",
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "0.npy", np.zeros((500, 12), np.float32))
    return tmp_path


def some(**sections: Any) -> Params:
    own: dict[str, Any] = {
        "grid": {"sites": [SITE], "architectures": ["topk"], "ratios": [2], "k": [4]},
        "model": {"name": "model"}, "dataset": TOKENS | {"corpus": "texts"},
        "baselines": {"methods": ["random"], "topk": [], "topk_methods": []},
        "evaluation": {"gain_refit_rows": None}, "autointerp": {"random_weights": None},
    }  # fmt: skip
    return Params.model_validate(own | {name: {**own.get(name, {}), **value} for name, value in sections.items()})


def costs_of(params: Params, **network: float) -> tuple[Costs, dict[str, Any]]:
    costs = Costs(Sizes(params))
    costs.network = SimpleNamespace(**({"block": 0.0, "head": 0.0, "compared": 0.0} | network))  # type: ignore[assignment]
    return costs, {name: job.settings for name, job in jobs.of_params(params).items()}


def taking(monkeypatch: pytest.MonkeyPatch, module: object, **seconds: float) -> None:
    """Give probes these results, whatever they are asked."""
    for name, value in seconds.items():
        monkeypatch.setattr(module, name, lambda *asked, value=value, **how: value)


FREE = dict.fromkeys(("measured", "reconstructed", "refitted", "solved", "interval"), 0.0)


def test_a_pass_goes_through_the_blocks_up_to_the_highest_site(folder, monkeypatch):
    monkeypatch.setattr(training, "batch", lambda *asked: 1024.0)
    params = some(grid={"sites": ["layer1_mlp", SITE]})
    costs, known = costs_of(params, block=1000.0)
    rows = costs.sizes.rows(SITE).all
    assert costs._harvest(known["activations_model_0"]) == costs.sizes.tokens * 4 * 1000 + 2 * processor.WRITTEN * rows


def test_each_reconstruction_is_followed_by_the_blocks_above_its_site(folder, monkeypatch):
    """Two dictionaries and two ablations; the clean pass is made three times, and compared with twice."""
    taking(monkeypatch, evaluating, **FREE)
    costs, known = costs_of(some(evaluation={"splice_blocks": 3}), block=1.0, head=100.0, compared=10_000.0)
    spliced, clean = 4 * (2 * 1 + 100 + 10_000), 3 * (6 * 1 + 100) + 2 * 10_000
    assert costs._evaluate(known[f"evaluation_{SITE}"]) == 30 * (spliced + clean)
    few, known = costs_of(some(evaluation={"splice_blocks": 10_000}), head=1.0)
    assert few._evaluate(known[f"evaluation_{SITE}"]) == few.sizes.rows(SITE).held_out * (4 + 3)


def test_ablations_and_the_clean_pass_are_made_for_each_part_of_the_dictionaries(folder, monkeypatch):
    taking(monkeypatch, evaluating, **FREE)
    many = some(grid={"k": [4], "seeds": list(range(40))}, evaluation={"splice_blocks": 1})
    costs, known = costs_of(many, compared=1.0)
    assert costs._evaluate(known[f"evaluation_{SITE}"]) == 10 * (41 + 2 * 2 + 2 * 2)


def test_a_refit_is_a_second_variant_of_what_is_learned(folder, monkeypatch):
    taking(monkeypatch, evaluating, **FREE | {"refitted": 1.0, "solved": 1000.0})
    costs, known = costs_of(some(evaluation={"gain_refit_rows": 50, "splice_blocks": 1}))
    assert costs._evaluate(known[f"evaluation_{SITE}"]) == 50 + 1000
    taking(monkeypatch, evaluating, **FREE | {"interval": 1.0})
    assert costs._evaluate(known[f"evaluation_{SITE}"]) == 3 * (2 + 3)  # plain, refitted, random: documents, blocks
    asked = []
    monkeypatch.setattr(evaluating, "measured", lambda *shape: asked.append(shape) or 0.0)
    costs._evaluate(known[f"evaluation_{SITE}"])
    assert asked == [(24, 12, 4, None, 2), (24, 12, None, None, 1)]


def test_a_pursuit_takes_a_step_a_code_of_each_vector_that_is_measured_or_spliced(folder, monkeypatch):
    taking(monkeypatch, evaluating, **FREE)
    asked = []
    monkeypatch.setattr(evaluating, "pursued", lambda *shape: asked.append(shape) or 1.0)
    own = {"gain_refit_rows": 50, "splice_blocks": 1, "variants": ["matching_pursuit"]}
    costs, known = costs_of(some(evaluation=own))
    assert costs._evaluate(known[f"evaluation_{SITE}"]) == costs.sizes.rows(SITE).held_out + 10
    assert asked == [(24, 12, 4)]  # n_feat, d_act, k; and of random directions none, which keep no k codes


def test_imported_vectors_are_measured_and_spliced_nowhere(folder, monkeypatch):
    taking(monkeypatch, evaluating, **FREE | {"measured": 1.0, "interval": 1000.0})
    own = {"grid": {"sites": ["mine"]}, "activations": {"imported": {"mine": "vectors"}}}
    costs, known = costs_of(some(**own, dataset={"held_out_share": 0.2}), block=7.0, head=7.0, compared=7.0)
    assert costs._evaluate(known["evaluation_mine"]) == 2 * 100 + 2 * 2 * 1000


def test_time_by_non_negative_least_squares_goes_on_from_a_few_iterations():
    assert evaluating._scaled(lambda iterations: 3 + 0.5 * (iterations or 0), 100) == pytest.approx(53)
    assert evaluating._scaled(lambda iterations: 3.0, None) == 3
    assert evaluating._scaled(lambda iterations: 5.0 / (iterations or 1), 100) == 2.5  # no less for more


def test_what_is_wider_than_the_widest_probe_takes_longer_in_proportion(monkeypatch):
    monkeypatch.setattr(evaluating, "seconds_of", lambda call, **how: 1024.0)
    for timed in (evaluating.measured, evaluating.reconstructed):
        of = timed.__wrapped__
        more = (1,) if timed is evaluating.measured else ()
        assert of(3 * evaluating.WIDEST, 2, None, None, *more) == 3 * of(evaluating.WIDEST, 2, None, None, *more) == 3
    chosen = evaluating.chosen.__wrapped__  # all are screened for the largest, and none but the chosen else
    assert chosen(3 * evaluating.WIDEST, 2, 8, None, 5) == 3 * chosen(3 * evaluating.WIDEST, 2, None, None, 5)
    monkeypatch.setattr(evaluating, "_solved", lambda: 1.0)
    assert evaluating.solved(2 * evaluating.SOLVED) == 8


def test_a_method_is_fitted_once(folder, monkeypatch):
    asked = []

    def told(kind, rows, d_act, reads):
        asked.append((kind, rows, d_act, reads.get("rows")))
        return Work(products=2.0, tanh=1.0)

    monkeypatch.setattr(fitting, "work", told)
    monkeypatch.setitem(fitting._ONE, "products", lambda d_act: 10.0)
    monkeypatch.setitem(fitting._ONE, "tanh", lambda d_act: float(d_act))
    own = {"methods": ["pca", "ica", "nmf"], "topk": [2, 3], "topk_methods": ["pca"]}
    own |= {"ica_rows": 100, "nmf_rows": 10**6}
    costs, known = costs_of(some(baselines=own))
    rows = costs.sizes.rows(SITE).train
    assert costs._fit(known[f"baselines_{SITE}"]) == 3 * (2 * 10 + 12)
    assert asked == [("pca", rows, 12, None), ("ica", rows, 12, 100), ("nmf", rows, 12, 10**6)]


def test_ica_ends_by_itself_and_nmf_visits_every_block():
    reads = {"rows": 10, "iterations": 50, "encode_iterations": 9, "seed": 0}
    assert work("ica", 10, 8, reads).tanh == 50 * 10 * ica.NONLINEAR
    assert work("ica", 4, 8, reads).tanh == 50 * 4 * ica.NONLINEAR  # there are no more rows
    assert work("ica", 10, 8, reads | {"iterations": 500}).tanh == ica.USUAL_ITERATIONS * 10 * ica.NONLINEAR
    rows = 3 * nmf_rows(8)
    reads |= {"rows": 10**6, "iterations": 21}
    assert work("nmf", rows, 8, reads).decompositions == 2 * 3 * 20 * 2  # visits of blocks, of 20 iterations with two
    assert work("nmf", 10, 8, reads | {"iterations": 20}).decompositions == 20 * 2  # steps' sizes
    assert work("nmf", rows, 8, reads | {"rows": 10}).products < work("nmf", rows, 8, reads).products / 100


def test_a_dictionary_with_the_null_is_scored_twice(folder, monkeypatch):
    taking(monkeypatch, interpreting, feature=10.0, fragment_ranked=1.0, vocabulary_read=0.5)
    taking(monkeypatch, evaluating, chosen=0.0)
    costs, known = costs_of(some(autointerp={"features": 20}))
    assert costs._interpret(known[f"autointerp_{SITE}"]) == 0.5 + (2 * 20 + 20) * (10 + 7)
    few, known = costs_of(some(autointerp={"features": 1000}))  # of 24 that there are
    assert few._interpret(known[f"autointerp_{SITE}"]) == 0.5 + (2 * 24 + 24) * (10 + 7)
    taking(monkeypatch, evaluating, chosen=1.0)
    taking(monkeypatch, interpreting, feature=0.0, fragment_ranked=0.0, vocabulary_read=0.0)
    assert costs._interpret(known[f"autointerp_{SITE}"]) == 2 * 35


def test_members_are_trained_on_one_reading_as_many_as_are_side_by_side(folder, monkeypatch):
    taking(monkeypatch, training, member=100.0, batch=1.0)
    taking(monkeypatch, starting, hashed=0.0)
    params = some(grid={"k": [1, 2, 3, 4, 5]}, dictionaries={"steps": 7, "batch": 8, "side_by_side": 2})
    costs, known = costs_of(params)
    assert costs._train(known[f"dictionaries_{SITE}_topk_r2"]) == 5 * 100 + 3 * 7


def test_a_snapshot_is_no_training(folder, monkeypatch):
    """Neither its time, nor a reading, nor a thread; a file more, with the lines of its log until then."""
    taking(monkeypatch, training, member=100.0, batch=1.0)
    taking(monkeypatch, starting, hashed=0.0)
    own = {"steps": 60, "batch": 8, "side_by_side": 2, "log_steps": 20}
    params = some(grid={"k": [1, 2, 3]}, dictionaries=own | {"snapshots": [8, 161, 480]})
    costs, known = costs_of(params)
    name = f"dictionaries_{SITE}_topk_r2"
    assert costs._train(known[name]) == 3 * 100 + 2 * 60
    job = jobs.of_params(params)[name]
    assert (len(job.members), job.most_threads) == (12, 3)
    lines = [
        disk.files_of(job, f"topk_r2_k1_s0{end}", costs.sizes)["log.jsonl"] for end in ("", "_t8", "_t161", "_t480")
    ]
    assert [round(size / disk.LOG_LINE) for size in lines] == [4, 1, 2, 4]
    without = jobs.of_params(some(grid={"k": [1, 2, 3]}, dictionaries=own))[name].settings
    assert disk.unfinished(known[name], costs.sizes) == disk.unfinished(without, costs.sizes)
    copied = memory.of_job(job, costs.sizes, 1) - memory.of_job(replace(job, settings=without), costs.sizes, 1)
    assert copied == disk.unfinished(without, costs.sizes) / 2


def test_norms_take_memory_by_the_vector_where_these_are_many(folder):
    """Which are trained on is held; more while they are found, which is over when the members are made."""

    def peak(tokens: int, limit: float | None) -> int:
        params = some(dataset={"train_tokens": tokens}, dictionaries={"norm_limit": limit})
        return memory.of_job(jobs.of_params(params)[f"dictionaries_{SITE}_topk_r2"], Sizes(params), 1)

    few, many = 100_000, 400_000_000
    assert peak(few, 10.0) - peak(few, None) == pytest.approx(8 * few, rel=0.01)
    assert peak(many, None) == peak(few, None)
    assert peak(many, 10.0) == pytest.approx(26 * many, rel=0.05)


def test_a_member_is_probed_no_wider_than_it_must_and_at_its_own_l0(monkeypatch):
    times = StepTimes(few_l0=10, few=1.0, many_l0=110, many=2.0, dense=9.0)
    monkeypatch.setattr(training, "step_times", lambda *shape: times)
    given = Training(steps=50)
    narrow, wide = (training.WIDEST, 8), (2 * training.WIDEST, 8)
    assert training.member(given, TopK(), "topk", narrow, 60, 60) == pytest.approx(50 * 1.5)
    assert training.member(given, TopK(), "topk", wide, 120, 120) == pytest.approx(50 * 2 * 1.5)
    assert training.member(given, JumpReLU(), "jumprelu", narrow, 60, None) == pytest.approx(50 * 1.5)
    settled = Untied(l1_warmup_share=0.0)
    assert training.member(given, settled, "untied", narrow, 60, None) == pytest.approx(50 * 1.5)
    warmed = training.member(given, Untied(l1_warmup_share=0.5), "untied", narrow, 60, None)
    assert warmed == pytest.approx(50 * (1.5 + 0.01 * (0.1 * training.WIDEST - 60) * 0.7 * 0.5))
    assert times.at(-1e9, 10**9) == 0.5  # fewer than the fewest that were tried: no less than half


def test_texts_take_time_by_their_bytes_and_the_embedded_corpus_its_own(folder, monkeypatch):
    taking(monkeypatch, starting, slowness=2.0)
    (folder / "texts").mkdir()
    (folder / "texts" / "a.txt").write_text("x" * 1000)
    costs, known = costs_of(some())
    assert costs._dataset(known["dataset_tokens"]) == pytest.approx(2 * starting.TEXT * 1000)
    costs, known = costs_of(some(dataset={"corpus": "pydocs"}))
    assert costs._dataset(known["dataset_tokens"]) == 2 * starting.EMBEDDED_CORPUS
    own = some(model={"name": "models/mine"}, transformer={"name": "mine", "corpus": "texts"}).transformer
    monkeypatch.setattr(processor.pretraining, "seconds", lambda *asked: 5.0)
    assert costs._pretrain(own) == pytest.approx(5 + 2 * starting.TEXT * corpus.training_bytes(own))


@pytest.mark.parametrize(("scaling", "weight"), [("per_feature", 10 / 256), ("sum", 10)])
def test_a_toy_fires_no_more_than_twice_as_often_as_its_truth(folder, scaling, weight, monkeypatch):
    settled = []
    taking(monkeypatch, evaluating, measured=0.0)
    monkeypatch.setattr(training, "member", lambda given, own, kind, shape, l0, k: settled.append(l0) or 1.0)
    toy = {"ratios": [2], "l1": [1e-9, 10], "conditions": ["independent"], "mean_active": 3, "steps": 1, "batch": 1}
    costs, known = costs_of(some(toy=toy | {"l1_scaling": scaling}))
    (cell,) = (job for name, job in known.items() if name.startswith("toy_independent"))
    assert costs._toy(cell) == pytest.approx(2 + 128 * processor.DRAWN)
    assert settled == [6, settled_l0("l1", weight, 256, 64)]


def test_the_job_is_its_start_its_work_and_what_is_hashed(folder, monkeypatch):
    taking(monkeypatch, starting, slowness=2.0, hashed=1.0)
    monkeypatch.setattr(processor.disk, "of_job", lambda job, sizes: 1000)
    costs, _ = costs_of(some())
    monkeypatch.setattr(costs, "_fit", lambda own: 10.0)
    known = jobs.of_params(costs.sizes.params)
    assert costs.of_job(known[f"baselines_{SITE}"]) == 2 * starting.SECONDS["baselines"] + 10 + 1000
    assert costs.of_job(known[f"evaluation_tables_{SITE}"]) == 2 * starting.SECONDS["tables"] + 1000
    assert costs.of_job(known["evaluation_summary"]) == 2 * starting.SECONDS["summary"] + 1000
    other, _ = costs_of(some(grid={"sites": ["mine"]}, activations={"imported": {"mine": "vectors"}}))
    for name in ("_import", "_evaluate"):
        monkeypatch.setattr(other, name, lambda own: 0.0)
    known = jobs.of_params(other.sizes.params)
    assert other.of_job(known["activations_imported_mine"]) == 2 * starting.SECONDS["import"] + 1000
    assert other.of_job(known["evaluation_mine"]) == 2 * starting.SECONDS["baselines"] + 1000  # no model is loaded


def test_a_probe_takes_its_least_call_and_ends(monkeypatch):
    now = iter([0.0, 0.0, 5.0, 5.0, 6.0, 6.0, 9.0])
    monkeypatch.setattr(probe.time, "thread_time", lambda: next(now))
    calls = []
    assert probe.seconds_of(lambda: calls.append(None), least=7.0) == 1  # of 5, 1, 3 seconds
    assert len(calls) == 4  # and one to warm up
    monkeypatch.setattr(probe.time, "thread_time", lambda: 0.0)
    calls.clear()
    assert probe.seconds_of(lambda: calls.append(None), warm=False) == 0
    assert len(calls) == probe.MOST_CALLS

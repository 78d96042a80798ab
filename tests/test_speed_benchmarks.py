"""The programs that time the scorer and `make plot`, as far as they go in seconds."""

import shutil
from pathlib import Path

import pytest
import torch
from benchmarks import gpu, plot, scorer
from benchmarks.training import against, contract

from sparse_coding.interp.cases import Fragments
from sparse_coding.io.activations import open_activations

TINY = scorer.Size("tiny", 32, 64, 300, 8)


def test_the_scorer_is_timed_on_features_that_can_be_scored(tmp_path):
    ids, vectors, dictionaries = scorer.made_up(TINY)
    words = scorer.vocabulary()
    assert len(words) == len(set(words)) == scorer.VOCABULARY
    scorer.written(tmp_path / "layer0_residual.h5", TINY, ids, vectors)
    measured = Fragments(ids, words, scorer.SEED)
    with open_activations(tmp_path / "layer0_residual.h5") as file:
        split = file.split("fragments")
        assert split.n_rows == ids.size
        assert torch.equal(split.read(0, 9), vectors(0, 9).half().float())
        clock = scorer.Clock()
        for _ in range(2):
            scorer.run(clock, dictionaries["relu"], split, TINY, measured)
    rows = scorer.rows_of(TINY, "relu", clock)
    assert [row["what"].split(": ")[1] for row in rows] == [
        "encoding", "all", "selection", "explaining", "simulating", "scoring",
    ]  # fmt: skip
    assert all(0 <= row["least"] <= row["value"] <= row["most"] for row in rows)


def test_the_jobs_of_a_run_are_summed_by_stage(tmp_path):
    logs = tmp_path / "results" / "logs"
    logs.mkdir(parents=True)
    for name, seconds, cpu in (("evaluation_a", 3.0, 5.0), ("evaluation_b", 1.5, 1.0), ("dataset_tokens", 2.0, 4.0)):
        (logs / f"{name}.benchmark.tsv").write_text(f"s\tcpu_time\n{seconds}\t{cpu}\n")
    rows = plot.rows_of(5.0, plot.jobs(tmp_path))
    assert [(row["what"], row["value"]) for row in rows] == [
        ("make plot, the default: all", 5.0),
        ("make plot: jobs of dataset", 2.0),
        ("make plot: jobs of evaluation", 4.5),
    ]
    assert rows[0]["note"] == "2 cores; jobs ran 6 s together and used 10 s of processor time"


def test_a_copy_has_the_code_and_no_results(tmp_path):
    folder = plot.copied(tmp_path / "copy")
    assert (folder / "src" / "sparse_coding" / "stages" / "evaluation.py").is_file()
    assert (folder / "params.yaml").is_file()
    assert not (folder / "results").exists()


BURNS = '''"""A trainer that takes {ms} ms of processor time for a step."""
from time import process_time


class Burns:
    members = 1

    def step(self, batch):
        assert float(batch.sum()) == 3.0
        end = process_time() + {ms} / 1e3
        while process_time() < end:
            pass


def make(setting, parameters):
    assert (setting.l1, list(parameters[0])) == ((0.5,), ["atoms"])
    return Burns()
'''


def test_two_checkouts_are_timed_in_turn_each_by_its_own_trainer(tmp_path):
    for name, ms in (("ours", 10), ("theirs", 40)):
        package = tmp_path / name / "benchmarks" / "training"
        package.mkdir(parents=True)
        for empty in (package.parent, package):
            (empty / "__init__.py").touch()
        shutil.copy(Path(contract.__file__), package)
        (package / "ours.py").write_text(BURNS.format(ms=ms))
    setting = contract.Setting("tied", 4, 3, 1, "dense", (0.5,))
    found = against.ratios(
        setting, [{"atoms": torch.ones(4, 3)}], (torch.ones(1, 3),), tmp_path / "theirs", 4, tmp_path / "ours"
    )
    assert 0.15 < found.low <= found.median <= found.high < 0.4
    assert 9 < found.cpu_ms < 20
    assert "d3 tied dense" in found.line()
    assert "SLOWER" not in found.line()


def test_the_bounds_of_a_step_are_those_of_its_products():
    """By hand, for one vector: 2304 dimensions, 16,384 features, 64 positive codes; in millions of operations."""
    shape = gpu.Shape(2304, 16_384)
    product = 2 * 2304 * 16_384 / 1e6
    assert shape.dense / 1e6 == pytest.approx(5 * product) == pytest.approx(377.5, abs=0.1)
    assert shape.sparse(64) / 1e6 == pytest.approx(product + 4 * 2 * 2304 * 64 / 1e6) == pytest.approx(76.7, abs=0.1)
    assert shape.sparse(shape.n_feat) == shape.dense


@pytest.mark.parametrize("kind", gpu.KINDS)
def test_the_benchmark_of_a_gpu_runs_on_the_processor_at_a_tiny_size(kind):
    shape, here = gpu.Shape(32, 128, members=2, batch=64, l0=4.0), torch.device("cpu")
    rows = list(gpu.rows_of(kind, shape, ("float32",), here, 0.01))
    assert [row["unit"] for row in rows] == ["vectors/s, all members", "%", "%", "MiB"]
    assert all(row["value"] > 0 for row in rows[:3])
    dense, sparse = rows[1]["value"], rows[2]["value"]
    l0 = int(rows[0]["note"].rsplit(" ", 1)[1])
    assert 3 <= l0 <= 5
    assert dense / sparse == pytest.approx(shape.dense / shape.sparse(l0), rel=0.02)
    assert gpu.agreement(kind, here, shape, 20)["value"] < 5e-3


def test_without_a_gpu_the_benchmark_of_one_says_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU"):
        gpu.main()

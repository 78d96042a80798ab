"""The forecast against three small runs that are really made, because the preflight refuses runs by it.

Counts exactly, bytes and memory within a fifth, processor time within a factor of three.
"""

import re
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from benchmarks import scale
from benchmarks.watching import Taken
from safetensors import safe_open

from sparse_coding.forecast.counting import disk, memory
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.forecast.probing.processor import Costs
from sparse_coding.settings import grid, jobs, params_file
from sparse_coding.settings.jobs import Planned
from tests.forecast import small_runs
from tests.workspace import step

pytestmark = [
    pytest.mark.gate,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up in /proc"),
]
MIB = 1 << 20
BESIDE_RESULTS = (".work", ".snakemake", "results/logs")
FIFTH, THIRD = 0.2, 0.3
# A job of a stage with much to do, and one with little, which differ in nothing but that.
PAIRS = [
    (("passes", "activations_model_0"), ("kinds", "activations_model_0")),
    (("passes", "dictionaries_layer0_mlp_topk_r2"), ("kinds", "dictionaries_layer1_residual_topk_r8")),
    (("imported", "dictionaries_mine_jumprelu_r8"), ("kinds", "dictionaries_layer1_residual_jumprelu_r8")),
    (("passes", "baselines_layer0_mlp"), ("kinds", "baselines_layer1_residual")),
    (("passes", "evaluation_layer0_mlp"), ("kinds", "evaluation_layer1_residual")),
]


@dataclass(frozen=True)
class Made:
    """A run: its folder, what each of its jobs took, and on paper its jobs and sizes."""

    folder: Path
    taken: Mapping[str, Taken]
    jobs: Mapping[str, Planned]
    sizes: Sizes

    def memory_of(self, name: str) -> int:
        """The forecast of a job."""
        return memory.of_job(self.jobs[name], self.sizes, self.jobs[name].threads(scale.CORES))


@pytest.fixture(scope="module")
def run_of(tmp_path_factory) -> Callable[[str], Made]:
    """What makes a run by the name of its settings, once."""

    @cache
    def make(name: str) -> Made:
        folder = small_runs.make(tmp_path_factory.mktemp("small") / name, name)
        taken = scale.run(folder)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)  # whose models and vectors are meant
            params = params_file.load(Path("params.yaml"))
            return Made(folder, taken, jobs.wanted(params), Sizes(params))

    return make


@pytest.fixture(params=small_runs.SETTINGS)
def made(request, run_of, monkeypatch) -> Made:
    found = run_of(request.param)
    monkeypatch.chdir(found.folder)
    return found


def test_the_jobs_and_artifacts_are_those_of_the_run(made):
    """What the command says, a line a stage."""
    assert made.taken.keys() == made.jobs.keys()
    said = step("forecast", "--cores", "2", "--no-probe", cwd=made.folder).stdout.split("Made only when")[0]
    found = {line[1]: (int(line[2]), int(line[3])) for line in re.finditer(r"(?m)^([a-z]+) +(\d+) +(\d+) ", said)}
    run = Counter(made.jobs[name].stage for name in made.taken)
    assert found == {stage: (n, len([*Path("results", stage).rglob("*.stamp")])) for stage, n in run.items()}


def test_the_dictionaries_have_the_features_that_were_foreseen(made):
    """The oracle is the shape in the file."""
    foreseen = {
        f"{site}/{name}": (made.sizes.features(site, cell.architecture, cell.ratio), made.sizes.width(site))
        for site in grid.sites_with_controls(made.sizes.params)
        for cell in grid.cells(made.sizes.params, site)
        for name in cell.member_names
    }
    root = Path("results/dictionaries")
    files = [file.relative_to(root).with_suffix("") for file in root.rglob("*.safetensors")]
    assert foreseen == {str(file): _shape(root / f"{file}.safetensors") for file in files}


def _shape(file: Path) -> tuple[int, ...]:
    with safe_open(file, "np") as tensors:
        return tuple(tensors.get_slice("decoder").get_shape())


def test_the_bytes_of_each_kind_of_file(made):
    """A stage's files of one kind together, within a fifth or a block of the file system."""
    foreseen, found = defaultdict[tuple[str, str], float](float), defaultdict[tuple[str, str], float](float)
    for job in made.jobs.values():
        for member in job.members:
            for kind, size in disk.files_of(job, member, made.sizes).items():
                foreseen[job.stage, kind] += size
    longest_first = sorted(foreseen, key=lambda key: -len(key[1]))
    for stage in {job.stage for job in made.jobs.values()}:
        for file in _files(Path("results", stage)):
            name = f"{file.parent.name}.{file.name}".replace(f"gains.{file.stem}.s", "gains.s")
            found[next(key for key in longest_first if key[0] == stage and name.endswith(key[1]))] += (
                file.stat().st_size
            )
    assert found.keys() == foreseen.keys()
    assert not {
        key: (size, found[key])
        for key, size in foreseen.items()
        if abs(size - found[key]) > max(FIFTH * found[key], disk.BLOCK)
    }


def test_what_lies_on_the_disk_in_sum(made):
    """In whole blocks: below results/ by stage, and what the workflow keeps beside that."""
    for stage in {job.stage for job in made.jobs.values()}:
        foreseen = sum(disk.of_job(job, made.sizes) for job in made.jobs.values() if job.stage == stage)
        assert foreseen == pytest.approx(_blocks(Path("results", stage)), rel=FIFTH), stage
    work = disk.SOURCE_READ + sum(disk.in_work(job, made.sizes.params, made.sizes) for job in made.jobs.values())
    assert work == pytest.approx(sum(_blocks(Path(part)) for part in BESIDE_RESULTS), rel=FIFTH)


def _files(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def _blocks(folder: Path) -> int:
    return sum(disk.on_disk(file.stat().st_size) for file in _files(folder))


def test_the_memory_of_each_job(made):
    pairs = {name: (made.memory_of(name) // MIB, taken.memory // MIB) for name, taken in made.taken.items()}
    assert not {name: pair for name, pair in pairs.items() if abs(pair[0] / pair[1] - 1) > FIFTH}


@pytest.mark.parametrize(("much", "little"), PAIRS, ids=lambda pair: "_".join(pair))
def test_the_memory_that_more_work_takes(much, little, run_of, monkeypatch):
    """Python and its libraries are most of a small job: what two of them differ by is not theirs."""
    foreseen, found = [], []
    for run, name in (much, little):
        made = run_of(run)
        monkeypatch.chdir(made.folder)
        foreseen.append(made.memory_of(name) / MIB)
        found.append(made.taken[name].memory / MIB)
    assert found[0] - found[1] > 100
    assert foreseen[0] - foreseen[1] == pytest.approx(found[0] - found[1], rel=THIRD)


def test_the_benchmark_of_scale_shows_a_run_by_stage(run_of):
    """Disk as the file system counts it, and the largest job."""
    made = run_of("kinds")
    foreseen, found = scale.forecast(made.folder, probe=False), scale.measured(made.folder, made.taken)
    assert found.keys() == {job.stage for job in made.jobs.values()}
    for stage, own in found.items():
        assert own["disk"] == pytest.approx(foreseen[stage]["disk"], rel=FIFTH), stage
        assert own["memory"] == max(made.taken[name].memory for name, job in made.jobs.items() if job.stage == stage)
        assert own["seconds"] > 0
    rows = scale.rows_of("small", foreseen, found)
    assert len(rows) == 3 * (len(found) + 1)
    assert next(row["unit"] for row in rows if row["what"] == "small, all: disk") == "MB"


def test_processor_time(made):
    """By stage, and in sum."""
    costs = Costs(made.sizes)
    foreseen, found = defaultdict[str, float](float), defaultdict[str, float](float)
    for name, job in made.jobs.items():
        foreseen[job.stage] += costs.of_job(job)
        found[job.stage] += made.taken[name].seconds
    pairs = {stage: (size, found[stage]) for stage, size in foreseen.items()}
    pairs["all"] = (sum(foreseen.values()), sum(found.values()))
    assert not {stage: (size, taken) for stage, (size, taken) in pairs.items() if not 1 / 3 < size / taken < 3}

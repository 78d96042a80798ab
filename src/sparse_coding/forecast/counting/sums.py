"""The sums of some jobs: disk, and memory side by side; by stage and in all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sparse_coding.forecast.counting import disk, memory, together
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.settings.jobs import Planned
from sparse_coding.settings.slices import DictionariesSlice

NOT_VERSIONED = ("dataset", "activations", "published", "transformer", "toy")  # DVC keeps no copy of what these make


@dataclass(frozen=True)
class Sums:
    """Bytes. results, work: what is written there; copies: what DVC's cache keeps of it; passing: what lies in .work
    until it is published; unfinished: what long trainings keep there while they go on; memory: most of all jobs
    together, by `beside`; largest: of one of them.
    """

    jobs: Mapping[str, Planned]
    results: Mapping[str, int]  # by job
    work: int
    copies: int
    passing: int
    unfinished: int
    peaks: Mapping[str, int]  # by job
    memory: int
    beside: Sequence[str]

    @property
    def written(self) -> int:
        """All that lies below results/ in the end."""
        return sum(self.results.values())

    def by_stage(self, values: Mapping[str, float]) -> dict[str, float]:
        """Values of jobs, summed over each stage."""
        found: dict[str, float] = {}
        for name, value in values.items():
            stage = self.jobs[name].stage
            found[stage] = found.get(stage, 0) + value
        return found


def of_jobs(
    jobs: Mapping[str, Planned], sizes: Sizes, cores: int, members: Mapping[str, Sequence[str]] | None = None
) -> Sums:
    """The sums of these jobs; members: what each of them makes, else all that it can. Raises BadInput as `Sizes`."""
    made = {name: tuple(members[name]) if members else job.members for name, job in jobs.items()}
    results = {name: disk.of_job(job, sizes, made[name]) for name, job in jobs.items()}
    peaks = {name: memory.of_job(job, sizes, job.threads(cores)) for name, job in jobs.items()}
    cells = [
        disk.unfinished(job.settings, sizes) for job in jobs.values() if isinstance(job.settings, DictionariesSlice)
    ]
    most, beside = together.most_memory(jobs, peaks, cores) if jobs else (0, [])
    return Sums(
        jobs=jobs,
        results=results,
        work=disk.SOURCE_READ + sum(disk.in_work(job, sizes.params, sizes) for job in jobs.values()),
        copies=sum(size for name, size in results.items() if jobs[name].stage not in NOT_VERSIONED),
        passing=sum(sorted(results.values(), reverse=True)[:cores]),
        unfinished=sum(sorted(cells, reverse=True)[:cores]),
        peaks=peaks,
        memory=most + memory.LIBRARIES if jobs else 0,
        beside=beside,
    )

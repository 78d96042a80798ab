"""The forecast as a page: a table by stage, then sums."""

from collections.abc import Mapping

from sparse_coding.forecast.counting import amounts, sums, together
from sparse_coding.forecast.counting.sums import Sums
from sparse_coding.forecast.counting.vectors import Sizes
from sparse_coding.settings import grid, jobs
from sparse_coding.settings.params import Params

HEAD = ("stage", "jobs", "files", "disk", "memory of one job", "processor time")


Seconds = Mapping[str, float]


def page(
    params: Params, cores: int, seconds: Seconds | None = None, between: tuple[Seconds, Seconds] | None = None
) -> str:
    """What a whole run takes, as if nothing were made yet. seconds: processor time by job, None: not known; between:
    the least and the most, where it hangs on what is not known.

    Raises BadInput where the config of the model, or the shape of imported vectors, is not on this machine.
    """
    sizes, every = Sizes(params), jobs.of_params(params)
    whole = jobs.wanted(params)
    found = sums.of_jobs(whole, sizes, cores)
    parts = [_vectors(params, sizes), _table(found, seconds), _sums(found, cores, seconds, between)]
    apart = sums.of_jobs({name: job for name, job in every.items() if name not in whole}, sizes, cores)
    parts.append(f"Made only when it is asked for, and in no sum above:\n\n{_table(apart, seconds)}")
    return "\n\n".join(parts)


def _vectors(params: Params, sizes: Sizes) -> str:
    lines = []
    if grid.harvested_sites(params):
        lines.append(
            f"Tokens through the model: {amounts.count(sizes.tokens)} a pass, {len(grid.passes(params))} passes."
        )
    for site in grid.sites_with_controls(params):
        rows, width = sizes.rows(site), sizes.width(site)
        lines.append(
            f"{site}: {amounts.count(rows.all)} vectors of {width} dimensions, {amounts.count(rows.train)} to train on"
        )
    return "\n".join(lines)


def _table(found: Sums, seconds: Seconds | None) -> str:
    size = found.by_stage(found.results)
    peak: dict[str, int] = {}
    for name, job in found.jobs.items():
        peak[job.stage] = max(peak.get(job.stage, 0), found.peaks[name])
    time = found.by_stage({name: seconds[name] for name in found.jobs}) if seconds else {}
    rows = [HEAD]
    for stage in size:
        own = [job for job in found.jobs.values() if job.stage == stage]
        rows.append(
            (
                stage, str(len(own)), str(sum(len(job.members) for job in own)), amounts.memory(size[stage]),
                amounts.memory(peak[stage]), amounts.seconds(time[stage]) if time else "-",
            )
        )  # fmt: skip
    wide = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return "\n".join("  ".join(_cell(text, column, wide) for column, text in enumerate(row)).rstrip() for row in rows)


def _cell(text: str, column: int, wide: list[int]) -> str:
    return text.rjust(wide[column]) if column else text.ljust(wide[column])


def _sums(found: Sums, cores: int, seconds: Seconds | None, between: tuple[Seconds, Seconds] | None) -> str:
    lines = [
        f"Disk: {amounts.memory(found.written)} in results, {amounts.memory(found.work)} in .work and logs; "
        f"{amounts.memory(found.copies)} more in .dvc/cache with `dvc repro`.",
        f"Memory on {cores} cores: {amounts.memory(found.memory)} at most, {' beside '.join(found.beside)}.",
    ]
    if seconds:
        mine = {name: seconds[name] for name in found.jobs}
        clock = amounts.seconds(together.clock(found.jobs, mine, cores))
        lines.append(f"Time: {amounts.seconds(sum(mine.values()))} of processor, about {clock} on {cores} idle cores.")
    if seconds and between:
        lines += _range(found, cores, *between)
    return "\n".join(lines)


def _range(found: Sums, cores: int, *ends: Seconds) -> list[str]:
    """From the least to the most, where they differ by more than the last digit that is shown."""
    mine = [{name: end[name] for name in found.jobs} for end in ends]
    work = [amounts.seconds(sum(each.values())) for each in mine]
    if len(set(work)) == 1:
        return []
    clocks = [amounts.seconds(together.clock(found.jobs, each, cores)) for each in mine]
    return [
        f"Not known before: L0 in training with an L1. At a third of its guess or three times as many, {work[0]} to "
        f"{work[1]} of processor, {clocks[0]} to {clocks[1]} on the clock; --l0 N narrows it."
    ]

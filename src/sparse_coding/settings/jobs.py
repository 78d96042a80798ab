"""The jobs of a run, as the rules declare them: by name, with their settings, and which others they wait for.

tests/forecast holds these against the rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sparse_coding.settings import grid, outside, sites, slices
from sparse_coding.settings.params import Params, Section
from sparse_coding.settings.slices import toy
from sparse_coding.settings.slices.toy import ToySlice, ToyTablesSlice

DATASET = "dataset_tokens"
ALL_CORES = 1_000_000


@dataclass(frozen=True)
class Planned:
    """One call of a step. members: the artifacts that it makes; ready: how many jobs share the cores with it."""

    name: str
    stage: str
    settings: Section
    members: tuple[str, ...]
    needs: tuple[str, ...] = ()
    most_threads: int = 1
    ready: int = 1
    apart: bool = False

    def threads(self, cores: int) -> int:
        """As its rule says, on so many cores."""
        return max(1, min(self.most_threads, -(-cores // self.ready), cores))


def of_params(params: Params) -> dict[str, Planned]:
    """All jobs, in the order in which data flows."""
    return {job.name: job for job in every(params)}


def every(params: Params) -> Iterator[Planned]:
    """All jobs, in the order in which data flows, whatever their names."""
    parts = (_model, _dataset, _activations, _dictionaries, _baselines, _published, _evaluation, _autointerp, _plots)
    for part in (*parts, _toy):
        yield from part(params)


def wanted(params: Params) -> dict[str, Planned]:
    """Those that the target `all` needs: no model that nothing reads."""
    known = of_params(params)
    read = {need for job in known.values() for need in job.needs}
    return {name: job for name, job in known.items() if not job.apart and (job.stage != "transformer" or name in read)}


def _model(params: Params) -> Iterator[Planned]:
    if outside.makes_model(params):
        yield Planned("transformer", "transformer", params.transformer, ("model",), most_threads=ALL_CORES)


def _dataset(params: Params) -> Iterator[Planned]:
    if grid.harvested_sites(params):
        model = ("transformer",) if outside.makes_model(params) else ()
        yield Planned(DATASET, "dataset", slices.dataset(params), ("tokens",), model, most_threads=2)


def _activations(params: Params) -> Iterator[Planned]:
    harvests = grid.passes(params)
    for name, random, places in harvests:
        settings = slices.activations(params, random, places)
        yield Planned(
            name, "activations", settings, tuple(places), (DATASET,), most_threads=ALL_CORES, ready=len(harvests)
        )
    for site in params.activations.imported:
        if site in params.grid.sites:
            stored = slices.import_activations(params, site)
            yield Planned(f"activations_imported_{site}", "activations", stored, (site,))


def harvests_of(params: Params, site: str) -> tuple[str, ...]:
    """The jobs that make the activations of a site: of a pair perhaps two."""
    wanted = set(sites.places(site))
    found = tuple(name for name, _, places in grid.passes(params) if not wanted.isdisjoint(places))
    return found or (f"activations_imported_{site}",)


def cell_name(site: str, cell: grid.Cell) -> str:
    """The job of a cell."""
    return f"dictionaries_{site}_{cell.name}".replace(".", "p")


def _dictionaries(params: Params) -> Iterator[Planned]:
    for site in grid.sites_with_controls(params):
        cells = grid.cells(params, site)
        for cell in cells:
            yield Planned(
                cell_name(site, cell), "dictionaries", slices.dictionaries(params, cell), tuple(cell.member_names),
                harvests_of(params, site), most_threads=len(cell.finals), ready=len(cells),
            )  # fmt: skip


def _baselines(params: Params) -> Iterator[Planned]:
    for site in params.grid.sites:
        own = slices.baselines(params, site)
        yield Planned(f"baselines_{site}", "baselines", own, tuple(own.members), harvests_of(params, site))


def published_name(site: str, name: str) -> str:
    """The job of a dictionary that was trained elsewhere."""
    return f"published_{site}_{name}"


def _published(params: Params) -> Iterator[Planned]:
    for site in params.grid.sites:
        for name in grid.published(params, site):
            yield Planned(published_name(site, name), "published", slices.published(params, name), (name,))


def _of_site(params: Params, site: str) -> tuple[str, ...]:
    """The jobs that make the dictionaries of a site."""
    cells = tuple(cell_name(site, cell) for cell in grid.cells(params, site))
    cells += tuple(published_name(site, name) for name in grid.published(params, site))
    return (*cells, f"baselines_{site}") if site in params.grid.sites else cells


def _evaluation(params: Params) -> Iterator[Planned]:
    for site in params.grid.sites:
        settings = slices.evaluation(params, site)
        names = tuple(settings.members)
        yield Planned(f"evaluation_{site}", "evaluation", settings, names, _of_site(params, site), most_threads=2)
        gathered = slices.tables(list(names))
        yield Planned(f"evaluation_tables_{site}", "evaluation", gathered, ("tables",), (f"evaluation_{site}",))
    tables = tuple(f"evaluation_tables_{site}" for site in params.grid.sites)
    yield Planned("evaluation_summary", "evaluation", slices.SummarySlice(), ("summary",), tables)


def _autointerp(params: Params) -> Iterator[Planned]:
    for site in grid.sites_with_controls(params):
        if site in params.activations.imported:
            continue
        settings = slices.autointerp(params, site)
        names, needs = tuple(settings.members), _of_site(params, site)
        yield Planned(f"autointerp_{site}", "autointerp", settings, names, needs, most_threads=min(len(names), 2))
        gathered = slices.autointerp_tables(params, list(names))
        yield Planned(f"autointerp_tables_{site}", "autointerp", gathered, ("table",), (f"autointerp_{site}",))


def _plots(params: Params) -> Iterator[Planned]:
    for site in grid.harvested_sites(params):
        needs = [f"evaluation_tables_{site}", f"autointerp_tables_{site}"]
        if control := grid.control_site(params, site):
            needs.append(f"autointerp_tables_{control}")
        yield Planned(f"plots_{site}", "plots", slices.plots(params, site), ("figure",), tuple(needs))


def _toy(params: Params) -> Iterator[Planned]:
    cells: list[ToySlice] = toy.cells(params.toy)
    for cell in cells:
        yield Planned(
            f"toy_{cell.name}".replace(".", "p"), "toy", cell, tuple(cell.members), most_threads=len(cell.members),
            ready=len(cells), apart=True,
        )  # fmt: skip
    names = tuple(f"toy_{cell.name}".replace(".", "p") for cell in cells)
    yield Planned("toy_tables", "toy", ToyTablesSlice(), ("tables",), names, apart=True)
    yield Planned("toy_figure", "toy", toy.figure(params.toy, params.plots), ("figure",), ("toy_tables",), apart=True)

"""Which dictionaries there are, and what each is called.

A cell is site x architecture x ratio: everything of one shape, trained together. A member is one dictionary of
a cell. Its name is a function of its own settings, so it stays when the grid grows.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from sparse_coding import methods
from sparse_coding.settings import sites
from sparse_coding.settings.params import (
    WHOLE_TEXTS,
    Architecture,
    Baseline,
    Baselines,
    Nearest,
    Params,
    PublishedDictionary,
    RandomWeights,
)

OWN_SITE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")  # what an imported site may be called: files bear the name
OWN_SITE_WANTED = "letters, digits, `_` and `-`"


@dataclass(frozen=True)
class Member:
    """The settings of one dictionary that change values, not shapes: its seed, and that of the strengths it has."""

    seed: int
    l1: float | None = None
    k: int | None = None
    l0: float | None = None  # as wished
    tokens: int | None = None  # a snapshot: the vectors seen until then
    l0_rows: int | None = None  # vectors that are counted for it: core.training.matching; None: none

    @property
    def strength(self) -> methods.Strength:
        """Which of the three it has."""
        return next(name for name in methods.STRENGTHS if getattr(self, name) is not None)

    @property
    def value(self) -> float:
        """That of its strength."""
        return getattr(self, self.strength)


@dataclass(frozen=True)
class Cell:
    """Dictionaries of one shape on one site."""

    site: str
    architecture: Architecture
    ratio: float
    members: tuple[Member, ...]
    control: methods.Control | None = None  # what is held in their training

    @property
    def name(self) -> str:
        """E.g. `tied_r4`, `tied_r4_frozen_decoder`."""
        return f"{self.architecture}_r{self.ratio:g}{f'_{self.control}' if self.control else ''}"

    def member_name(self, member: Member) -> str:
        """E.g. `tied_r4_l1-0.002_s0`, `topk_r4_k8_s0`, `jumprelu_r4_l0-16_s0`, `tied_r4_step0_l1-0.002_s0`.

        A snapshot: `tied_r4_l1-0.002_s0_t200000`.
        """
        value = f"k{member.k}" if member.strength == "k" else f"{member.strength}-{member.value:g}"
        return f"{self.name}_{value}_s{member.seed}{f'_t{member.tokens}' if member.tokens else ''}"

    @property
    def finals(self) -> tuple[Member, ...]:
        """The members at the end of their trainings."""
        return tuple(member for member in self.members if member.tokens is None)

    @property
    def member_names(self) -> list[str]:
        """The names of the members, in their order."""
        return [self.member_name(member) for member in self.members]


def cells(params: Params, site: str) -> list[Cell]:
    """The cells of one site, in the order of params.yaml; a control site has one cell of one member, the twin's."""
    if not is_grid_site(params, site):
        twin = control_twin(params, sites.parse(site).trained.name)
        return [] if twin is None else [replace(twin[0], site=site, members=(twin[1],))]
    lists, found = params.grid, []
    for architecture, ratio, control in product(lists.architectures, lists.ratios, (None, *lists.controls)):
        place = Cell(site, architecture, ratio, (), control)
        there = [name for name in lists_of(params, architecture) if _wanted(params, place, name)]
        members = tuple(member for name in there for member in _members(params, architecture, name))
        members += _snapshots(params, members) if control is None else ()
        if members and fits(site, architecture) and methods.of(architecture).has_control(control):
            found.append(replace(place, members=members))
    return found


def fits(site: str, architecture: Architecture) -> bool:
    """Whether an architecture is one of such sites: some are of pairs of places and of nothing else."""
    return methods.of(architecture).pairs == sites.is_pair(site)


def lists_of(params: Params, architecture: Architecture) -> list[methods.Strength]:
    """The lists of the grid that make members of an architecture, those that are not empty."""
    return [name for name in methods.of(architecture).lists if getattr(params.grid, name)]


def _members(params: Params, architecture: Architecture, name: methods.Strength) -> Iterator[Member]:
    values: Any = getattr(params.grid, name)
    counts = name == methods.WISHED and not methods.of(architecture).whole
    rows = params.dictionaries.l0_rows if counts else None
    for value, seed in product(values, params.grid.seeds):
        yield Member(seed, **{name: value}, l0_rows=rows)


def _snapshots(params: Params, members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Those on the way to each."""
    return tuple(replace(member, tokens=count) for member, count in product(members, params.dictionaries.snapshots))


def _wanted(params: Params, cell: Cell, strength: methods.Strength) -> bool:
    """Whether members of a cell that come from a list are what `only` allows."""

    def allows(values: tuple | None, value: object) -> bool:
        return values is None or value in values

    only = params.grid.only
    return not only or any(
        allows(part.sites, cell.site)
        and allows(part.architectures, cell.architecture)
        and allows(part.ratios, cell.ratio)
        and (cell.control is None or allows(part.controls, cell.control))
        and allows(part.strengths, strength)
        for part in only
    )


def is_grid_site(params: Params, site: str) -> bool:
    """Whether params.yaml names the site; otherwise it is a control."""
    return site in params.grid.sites


def control_site(params: Params, site: str) -> str | None:
    """The random-weights site beside `site`; None where params ask for none or nothing of the site is scored."""
    if site in params.activations.imported or control_twin(params, site) is None:
        return None
    return sites.parse(site).control.name


def harvested_sites(params: Params) -> list[str]:
    """The grid's sites that a forward pass of the trained model gives."""
    return [site for site in params.grid.sites if site not in params.activations.imported]


def harvested_places(params: Params, controls: bool = False) -> list[str]:
    """What a forward pass is to give for the grid's sites, or for their controls: of a pair both places, each once."""
    wanted = _controls(params) if controls else harvested_sites(params)
    return list(dict.fromkeys(place for site in wanted for place in sites.places(site)))


def _controls(params: Params) -> list[str]:
    return [control for site in harvested_sites(params) if (control := control_site(params, site))]


def sites_with_controls(params: Params) -> list[str]:
    """The grid's sites, then the control of each harvested one."""
    return [*params.grid.sites, *_controls(params)]


def passes(params: Params) -> list[tuple[str, bool, list[str]]]:
    """The places of each forward pass: (name of the job, random weights, places)."""
    found = []
    for name, weights in (("model", False), ("random", True)):
        harvested = harvested_places(params, controls=weights)
        size = params.activations.sites_per_pass or max(1, len(harvested))
        for first in range(0, len(harvested), size):
            found.append((f"activations_{name}_{first // size}", weights, harvested[first : first + size]))
    return found


def baseline_name(method: Baseline, k: int | None) -> str:
    """A baseline, or a variant of k codes, e.g. `pca_top8`; of a pair, one of rank k, e.g. `linear_map_rank8`."""
    return method if k is None else f"{method}_{'rank' if methods.of(method).pairs else 'top'}{k}"


def baselines_of(baselines: Baselines, site: str) -> list[tuple[Baseline, int | None]]:
    """The baselines of a site: each method, then its variants, with their k. A pair has others than a place."""
    is_pair = sites.is_pair(site)
    whole = baselines.of_pairs if is_pair else baselines.methods
    varied = [method for method in whole if methods.of(method).signed] if is_pair else baselines.topk_methods
    return [*((method, None) for method in whole), *((method, k) for method in varied for k in baselines.topk)]


def baseline_names(baselines: Baselines, site: str) -> list[str]:
    """What they are called, e.g. `pca`, `pca_top8`."""
    return [baseline_name(method, k) for method, k in baselines_of(baselines, site)]


def published(params: Params, site: str) -> dict[str, PublishedDictionary]:
    """The dictionaries of a site that were trained elsewhere, by name."""
    if not is_grid_site(params, site):
        return {}
    return {name: one for name, one in params.published.dictionaries.items() if one.site == site}


@dataclass(frozen=True)
class Interpreted:
    """What of a site automatic interpretation scores.

    cells: with the scored members alone; baselines: whether they are scored too, without their top-k variants; null:
    the name of the member that is scored on shuffled positions too.
    """

    cells: list[Cell]
    baselines: bool
    null: str | None


def interpreted(params: Params, site: str) -> Interpreted:
    """On a control site its member; on a site of the grid the chosen members, and baselines.

    The null is that of the trained twin of the control, so that controls can be compared; without one, of the first.
    """
    chosen = [scored(params, cell) for cell in cells(params, site)]
    if not is_grid_site(params, site):
        return Interpreted(chosen, baselines=False, null=None)
    names = [name for cell in chosen if cell.control is None for name in cell.member_names]
    twin = control_twin(params, site)
    null = twin[0].member_name(twin[1]) if twin else next(iter(names), None)
    return Interpreted(chosen, baselines=True, null=None if params.autointerp.scorer in WHOLE_TEXTS else null)


def scored(params: Params, cell: Cell) -> Cell:
    """A cell with the members that automatic interpretation scores: all, or of each list of the grid those that are
    nearest to the named strength."""
    wanted, cell = params.autointerp.members, replace(cell, members=cell.finals)
    if not isinstance(wanted, Nearest):
        return cell
    nearest: dict[methods.Strength, float] = {}
    for member in cell.members:
        apart = _apart(member, wanted)
        nearest[member.strength] = min(apart, nearest.get(member.strength, apart))
    chosen = [member for member in cell.members if _apart(member, wanted) == nearest[member.strength]]
    return replace(cell, members=tuple(chosen))


def control_twin(params: Params, site: str) -> tuple[Cell, Member] | None:
    """The scored dictionary of `site` whose settings the control on random weights takes; None without a control.

    Whole ones alone, no controls of the grid. The nearest to `autointerp.random_weights`: first by architecture, then
    by ratio, by strength, by seed. A control of other settings could not be compared with anything that was scored.
    """
    wanted = params.autointerp.random_weights
    if wanted is None:
        return None
    whole = [cell for cell in cells(params, site) if cell.control is None]
    pairs = [(cell, member) for cell in whole for member in scored(params, cell).members]

    def distance(pair: tuple[Cell, Member]) -> tuple[float, ...]:
        cell, member = pair
        kind, ratio = cell.architecture != wanted.architecture, abs(math.log(cell.ratio / wanted.ratio))
        apart = (kind, ratio, _apart(member, wanted), abs(member.seed - wanted.seed))
        # Where several are as near, the order of the grid's lists must not decide.
        wished = member.strength == methods.WISHED
        return *apart, methods.LEARNED.index(cell.architecture), cell.ratio, wished, member.value

    return min(pairs, key=distance, default=None)


def _apart(member: Member, wanted: Nearest | RandomWeights) -> float:
    """How far the strength of a member is from the wanted one, on a log scale."""
    own, other = member.value, getattr(wanted, member.strength)
    if not own or not other:
        return 0.0 if own == other else math.inf
    return abs(math.log(own / other))

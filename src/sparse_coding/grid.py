"""Which dictionaries there are, and what each is called.

A cell is site x architecture x ratio: everything of one shape, trained together. A member is one dictionary of
a cell. Its name is a function of its own settings, so it stays when the grid grows.
"""

import math
import re
from dataclasses import dataclass
from itertools import product

from sparse_coding import sites
from sparse_coding.params import Architecture, Baseline, Baselines, Nearest, Params

OWN_SITE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")  # what an imported site may be called: files bear the name
OWN_SITE_WANTED = "letters, digits, `_` and `-`"


@dataclass(frozen=True)
class Member:
    """The settings of one dictionary that change values, not shapes: `l1` for ReLU, `k` for TopK."""

    seed: int
    l1: float | None = None
    k: int | None = None


@dataclass(frozen=True)
class Cell:
    """Dictionaries of one shape on one site."""

    site: str
    architecture: Architecture
    ratio: float
    members: tuple[Member, ...]

    @property
    def name(self) -> str:
        """E.g. `tied_r4`."""
        return f"{self.architecture}_r{self.ratio:g}"

    def member_name(self, member: Member) -> str:
        """E.g. `tied_r4_l1-0.002_s0`."""
        strength = f"l1-{member.l1:g}" if member.k is None else f"k{member.k}"
        return f"{self.name}_{strength}_s{member.seed}"

    @property
    def member_names(self) -> list[str]:
        """The names of the members, in their order."""
        return [self.member_name(member) for member in self.members]


def cells(params: Params, site: str) -> list[Cell]:
    """The cells of one site, in the order of params.yaml; a control site has one cell of one member."""
    if not is_grid_site(params, site):
        control = params.autointerp.random_weights
        if control is None:
            return []
        topk = control.architecture == "topk"
        member = Member(control.seed, None if topk else control.l1, control.k if topk else None)
        return [Cell(site, control.architecture, control.ratio, (member,))]
    grid = params.grid
    return [
        Cell(site, architecture, ratio, _members(params, architecture))
        for architecture, ratio in product(grid.architectures, grid.ratios)
        if _wanted(params, site, architecture, ratio)
    ]


def _members(params: Params, architecture: Architecture) -> tuple[Member, ...]:
    grid = params.grid
    if architecture == "topk":
        return tuple(Member(seed, k=k) for k, seed in product(grid.k, grid.seeds))
    return tuple(Member(seed, l1=l1) for l1, seed in product(grid.l1, grid.seeds))


def _wanted(params: Params, site: str, architecture: Architecture, ratio: float) -> bool:
    def allows(values: tuple | None, value: object) -> bool:
        return values is None or value in values

    only = params.grid.only
    return not only or any(
        allows(part.sites, site) and allows(part.architectures, architecture) and allows(part.ratios, ratio)
        for part in only
    )


def is_grid_site(params: Params, site: str) -> bool:
    """Whether params.yaml names the site; otherwise it is a control."""
    return site in params.grid.sites


def control_site(params: Params, site: str) -> str | None:
    """The random-weights site beside `site`; None where params ask for none or the site was imported."""
    if params.autointerp.random_weights is None or site in params.activations.imported:
        return None
    return sites.parse(site).control.name


def harvested_sites(params: Params) -> list[str]:
    """The grid's sites that a forward pass of the trained model gives."""
    return [site for site in params.grid.sites if site not in params.activations.imported]


def _controls(params: Params) -> list[str]:
    return [control for site in harvested_sites(params) if (control := control_site(params, site))]


def sites_with_controls(params: Params) -> list[str]:
    """The grid's sites, then the control of each harvested one."""
    return [*params.grid.sites, *_controls(params)]


def passes(params: Params) -> list[tuple[str, bool, list[str]]]:
    """The sites of each forward pass: (name of the job, random weights, sites)."""
    found = []
    for kind, harvested in (("model", harvested_sites(params)), ("random", _controls(params))):
        size = params.activations.sites_per_pass or max(1, len(harvested))
        for first in range(0, len(harvested), size):
            found.append((f"activations_{kind}_{first // size}", kind == "random", harvested[first : first + size]))
    return found


def topk_name(method: Baseline, k: int) -> str:
    """The top-k variant of a baseline, e.g. `pca_top8`."""
    return f"{method}_top{k}"


def baseline_names(baselines: Baselines) -> list[str]:
    """All baselines of a site: each method, then its top-k variants, e.g. `pca_top8`."""
    variants = [topk_name(method, k) for method in baselines.topk_methods for k in baselines.topk]
    return [*baselines.methods, *variants]


def scored_members(params: Params, cell: Cell) -> list[str]:
    """The members of a cell that automatic interpretation scores: all, or the nearest to the named L1 or k."""
    wanted = params.autointerp.members
    if not isinstance(wanted, Nearest):
        return cell.member_names

    def distance(member: Member) -> float:
        if member.k is not None:
            return abs(math.log(member.k / wanted.k))
        return abs(math.log(member.l1 / wanted.l1)) if member.l1 else math.inf

    nearest = min(map(distance, cell.members))
    return [cell.member_name(member) for member in cell.members if distance(member) == nearest]

"""What the grid of params.yaml must be beside its types: names that mean one thing each, an `only` that allows some."""

import sys
from collections.abc import Iterator
from pathlib import Path

from sparse_coding import methods
from sparse_coding.errors import BadInput
from sparse_coding.settings import grid, jobs, pair_checks, published_checks, sites
from sparse_coding.settings.params import Architecture, Only, Params

# The one step over all sites that has a name of the form <stage>_<site>.
SUMMARY = "evaluation_summary"
_NOT_THERE = {"strengths": "lists of which no architecture of this part has members"}


def check(path: Path, params: Params) -> None:
    """Raise BadInput, naming the place in the file at `path`, for a grid that is not what it seems to be."""
    _check_strengths(path, params)
    _check_controls(path, params)
    pair_checks.check_names(path, params)
    _check_sites(path, params)
    _check_own_names(path, params)
    published_checks.check(path, params)
    pair_checks.check_fits(path, params)
    _check_apart(path, params)
    _check_only(path, params)
    _check_whole(path, params)


def _check_strengths(path: Path, params: Params) -> None:
    for architecture in params.grid.architectures:
        lists = methods.of(architecture).lists
        if not grid.lists_of(params, architecture):
            named = " or ".join(f"grid.{name}" for name in lists)
            wanted = f"at least one value of {named}, or grid.architectures without {architecture}"
            found = f"an empty list, from which {architecture} has its members"
            raise BadInput(f"{path}: grid.{lists[0]}", found, wanted)
    wishes, kinds = params.grid.l0, params.grid.architectures
    if wishes and all(map(_lacks_wish, kinds)):
        found = f"{', '.join(map(_plain, wishes))}, which {', '.join(kinds)} cannot wish: its codes are never 0"
        raise BadInput(f"{path}: grid.l0", found, "an empty list, or an architecture that can in grid.architectures")


def _check_whole(path: Path, params: Params) -> None:
    """A wished L0 of a kind that keeps so many codes of each vector."""
    for site in params.grid.sites:
        for cell in grid.cells(params, site):
            wished = [member.l0 for member in cell.members if member.l0 is not None and member.l0 % 1]
            if wished and methods.of(cell.architecture).whole:
                found = f"{', '.join(map(_plain, dict.fromkeys(wished)))}, from which {cell.architecture} has members"
                wanted = f"whole numbers; or `strengths` in grid.only, and no l0 for {cell.architecture}"
                raise BadInput(f"{path}: grid.l0", found, wanted)


def _check_controls(path: Path, params: Params) -> None:
    """Each is one of some architecture: none would be made of it."""
    kinds = params.grid.architectures
    for control in params.grid.controls:
        if not any(methods.of(kind).has_control(control) for kind in kinds):
            having = ", ".join(kind for kind in methods.LEARNED if methods.of(kind).has_control(control))
            found = f"{control}, which {', '.join(kinds)} cannot have"
            raise BadInput(f"{path}: grid.controls", found, f"it with one of {having} in grid.architectures")


def _check_sites(path: Path, params: Params) -> None:
    for name in params.grid.sites:
        if name in params.activations.imported:
            continue
        try:
            site = sites.parse(name)
        except BadInput:
            wanted = f"{sites.WANTED}, or a name under activations.imported"
            raise BadInput(f"{path}: grid.sites", repr(name), wanted) from None
        if site.random_weights:
            wanted = f"{site.trained.name}: its control comes with autointerp.random_weights"
            raise BadInput(f"{path}: grid.sites", repr(name), wanted)


def _check_own_names(path: Path, params: Params) -> None:
    """Names of imported sites are names of files and of steps."""
    for name in params.activations.imported:
        if not grid.OWN_SITE.fullmatch(name):
            raise BadInput(f"{path}: activations.imported", repr(name), grid.OWN_SITE_WANTED)


def _check_apart(path: Path, params: Params) -> None:
    """No two sites, and no site and something over all sites, share the name of a step or a file."""
    users = {SUMMARY: "the summary of all sites"}
    for site, whose in _all_sites(params):
        for name in _names_of(params, site):
            user = users.setdefault(name.casefold(), whose)  # on macOS, files X and x are one
            if user != whose:
                found = f"{user} and {whose}, which would both have {name}"
                raise BadInput(f"{path}: grid.sites", found, "another name under activations.imported")


def _all_sites(params: Params) -> Iterator[tuple[str, str]]:
    """Each site, and in words whose it is: a control may have the name of an imported site."""
    yield from ((site, site) for site in params.grid.sites)
    controls = {site: grid.control_site(params, site) for site in params.grid.sites}
    yield from ((control, f"the control of {site}") for site, control in controls.items() if control)


def _names_of(params: Params, site: str) -> Iterator[str]:
    """What is called by a site: its files, and its steps, whose logs have their names."""
    yield f"results/*/{site}"
    yield from (f"{stage}_{site}" for stage in ("activations_imported", "baselines", "evaluation", "evaluation_tables"))
    yield from (f"{stage}_{site}" for stage in ("autointerp", "autointerp_tables", "plots"))
    yield from (jobs.cell_name(site, cell) for cell in grid.cells(params, site))
    yield from (jobs.published_name(site, name) for name in grid.published(params, site))


def _check_only(path: Path, params: Params) -> None:
    """Each part of `only` allows something, and each site is allowed something."""
    lists = params.grid
    if not lists.only:
        return
    for index, part in enumerate(lists.only):
        _check_part(f"{path}: grid.only.{index}", params, part)
        _check_named(f"{path}: grid.only.{index}", params, part)
    for site in lists.sites:
        if not grid.cells(params, site):
            wanted = f"one; or {site} left out of grid.sites; or `only: []`, no filter"
            raise BadInput(f"{path}: grid.only", f"no part that allows {site} a dictionary", wanted)
    _tell_left_out(f"{path}: grid.only", params)


def _tell_left_out(place: str, params: Params) -> None:
    """Of an architecture that parts allow without naming it, and of whose lists none: on stderr."""
    made = {cell.architecture for site in params.grid.sites for cell in grid.cells(params, site)}
    for kind in params.grid.architectures:
        mine = [part.strengths for part in params.grid.only if kind in _kinds(params, part)]
        if kind not in made and mine:
            named = tuple(dict.fromkeys(name for strengths in mine for name in strengths or ()))
            print(f"{place}: no part that allows {kind} a dictionary{_why(kind, named)}", file=sys.stderr)


def _check_part(place: str, params: Params, part: Only) -> None:
    """Values that no list of the grid has are mistakes, but sites: they are switched on and off, and only told."""
    for name in Only.model_fields:
        values, there = getattr(part, name), _there(params, part, name)
        if values is None:
            continue
        if not values and name != "controls":  # whole dictionaries alone
            raise BadInput(f"{place}.{name}", "an empty list, which matches nothing", "values; left out: every value")
        missing = [value for value in values if value not in there]
        known = name != "sites" or all(_is_site(params, value) for value in missing)
        found = f"{', '.join(map(_plain, missing))}, {_NOT_THERE.get(name, f'not in grid.{name}')}"
        if not known or (values and missing == list(values) and name != "sites"):
            wanted = f"one of {', '.join(map(_plain, there)) or 'nothing'}: this part matches nothing"
            raise BadInput(f"{place}.{name}", found, wanted)
        if missing:
            print(f"{place}.{name}: {found}: nothing is trained for it", file=sys.stderr)


def _check_named(place: str, params: Params, part: Only) -> None:
    """Each architecture that a part names has members there, and each control that it names is one of some of them."""
    kinds = _kinds(params, part)
    for kind in part.architectures or ():
        lists = grid.lists_of(params, kind) if kind in kinds else []
        if lists and part.strengths is not None and not set(lists) & set(part.strengths):
            found = f"{', '.join(part.strengths)}, from which {kind} has no members{_why(kind, part.strengths)}"
            raise BadInput(f"{place}.strengths", found, f"{' or '.join(lists)} too, or no {kind} in this part")
    for control in part.controls or () if part.architectures else ():
        if control in params.grid.controls and not any(methods.of(kind).has_control(control) for kind in kinds):
            wanted = f"no {control} here, or an architecture that can have it"
            raise BadInput(f"{place}.controls", f"{control}, which {', '.join(kinds)} cannot have", wanted)


def _kinds(params: Params, part: Only) -> list[Architecture]:
    """The architectures of the grid that a part allows."""
    return [kind for kind in params.grid.architectures if part.architectures is None or kind in part.architectures]


def _why(kind: str, strengths: tuple[methods.Strength, ...]) -> str:
    return (
        " (its codes are never 0, so it cannot wish an L0)" if _lacks_wish(kind) and methods.WISHED in strengths else ""
    )


def _lacks_wish(kind: str) -> bool:
    return methods.WISHED not in methods.of(kind).lists


def _there(params: Params, part: Only, name: str) -> tuple[object, ...]:
    """The values of a list of the grid; of strengths, those of the lists that members of the part come from."""
    if name != "strengths":
        return getattr(params.grid, name)
    return tuple(dict.fromkeys(strength for kind in _kinds(params, part) for strength in grid.lists_of(params, kind)))


def _is_site(params: Params, name: str) -> bool:
    try:
        return name in params.activations.imported or bool(sites.parse(name))
    except BadInput:
        return False


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

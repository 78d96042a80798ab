"""What the section `published` must be beside its types: names that are of nothing else, sites that there are."""

import sys
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.settings import grid, sites
from sparse_coding.settings.params import Params


def check(path: Path, params: Params) -> None:
    """Raise BadInput, naming the place in the file at `path`, for a name or a site that cannot be used.

    Of a site that the grid does not have now, a line on stderr says that nothing is made for it: sites are switched on
    and off.
    """
    for name, one in params.published.dictionaries.items():
        place = f"{path}: published.dictionaries.{name}"
        if not grid.OWN_SITE.fullmatch(name):
            raise BadInput(f"{path}: published.dictionaries", repr(name), grid.OWN_SITE_WANTED)
        if one.site in params.grid.sites:
            _check_apart(place, params, name, one.site)
        elif one.site in params.activations.imported or _is_site(one.site):
            print(f"{place}: {one.site} is not in grid.sites: nothing is made of it", file=sys.stderr)
        else:
            raise BadInput(f"{place}.site", repr(one.site), f"one of grid.sites: {', '.join(params.grid.sites)}")


def _is_site(name: str) -> bool:
    try:
        return not sites.parse(name).random_weights
    except BadInput:
        return False


def _check_apart(place: str, params: Params, name: str, site: str) -> None:
    """Rows, and files of evaluation and interpretation, are called by name; on macOS, X and x are one file."""
    others = [each for each in grid.published(params, site) if each != name]
    taken = {each.casefold(): each for each in (*others, *grid.baseline_names(params.baselines, site))}
    taken |= {each.casefold(): each for cell in grid.cells(params, site) for each in cell.member_names}
    if (other := taken.get(name.casefold())) is not None:
        raise BadInput(place, f"a name that {other} of {site} has", "another one")

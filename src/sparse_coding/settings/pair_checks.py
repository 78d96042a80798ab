"""What a grid with pairs of places must be: pairs of one layer of one model, and architectures that fit the sites."""

from pathlib import Path

from sparse_coding import methods
from sparse_coding.errors import BadInput
from sparse_coding.settings import grid, sites
from sparse_coding.settings.params import Only, Params


def check_names(path: Path, params: Params) -> None:
    """Raise BadInput for pairs of two layers, of two models or of imported vectors, and for names as of one."""
    imported = params.activations.imported
    for name in params.grid.sites:
        first, _, second = name.partition("_to_")
        if second and name not in imported and {first, second} & set(imported):
            raise BadInput(f"{path}: grid.sites", f"{name!r}, a pair of imported vectors", sites.PAIR_WANTED)
        if sites.is_pair(name):
            _check_pair(f"{path}: grid.sites", name)
    parts = {place.casefold() for name in params.grid.sites if sites.is_pair(name) for place in sites.places(name)}
    for name in imported:
        if sites.is_pair(name):
            wanted = "another name: a pair is of two places of the model"
            raise BadInput(f"{path}: activations.imported", f"{name!r}, as a pair is called", wanted)
        if name in params.grid.sites and name.casefold() in parts:
            found = f"{name!r}, whose file would be that of a place of a pair of grid.sites"
            raise BadInput(f"{path}: activations.imported", found, "another name")


def _check_pair(place: str, name: str) -> None:
    try:
        sites.parse(name)
    except BadInput:
        raise BadInput(place, repr(name), sites.PAIR_WANTED) from None


def check_fits(path: Path, params: Params) -> None:
    """Raise BadInput for an architecture that is for none of the sites, and a site that none of them is for.

    Others are left out of the product without a word: transcoders are for pairs of places alone, and these for nothing
    else.
    """
    lists = params.grid
    for architecture in lists.architectures:
        if not any(grid.fits(site, architecture) for site in lists.sites):
            found = f"{architecture}, which fits none of grid.sites"
            raise BadInput(f"{path}: grid.architectures", found, _wanted(methods.of(architecture).pairs))
    for site in lists.sites:
        if not any(grid.fits(site, architecture) for architecture in lists.architectures):
            fitting = [kind for kind in methods.LEARNED if grid.fits(site, kind)]
            wanted = f"one of {', '.join(fitting)} in grid.architectures"
            raise BadInput(f"{path}: grid.sites", f"{site}, which none of grid.architectures fits", wanted)
    for index, part in enumerate(lists.only):
        _check_part(f"{path}: grid.only.{index}", params, part)


def _wanted(is_of_pairs: bool) -> str:
    return f"a site {'layerN_mlpin_to_mlpout' if is_of_pairs else 'that is no pair'} in grid.sites"


def _check_part(place: str, params: Params, part: Only) -> None:
    """A part whose sites are all in the grid, and fit none of its architectures, matches nothing."""
    named = params.grid.sites if part.sites is None else part.sites
    architectures = params.grid.architectures if part.architectures is None else part.architectures
    if set(named) <= set(params.grid.sites) and not any(
        grid.fits(site, architecture) for site in named for architecture in architectures
    ):
        found = f"{', '.join(architectures)} at {', '.join(named)}, which they do not fit"
        raise BadInput(place, found, "architectures that fit one of the sites: this part matches nothing")

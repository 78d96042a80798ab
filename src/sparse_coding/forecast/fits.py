"""Whether settings fit the sizes of the model or of imported vectors, as far as these are known before a run."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from sparse_coding import grid, leaves, sites
from sparse_coding.errors import BadInput
from sparse_coding.forecast import imported, shapes
from sparse_coding.model_files import longest_context
from sparse_coding.params import Params

PLACE = "params.yaml"


def check(params: Params) -> None:
    """Raise BadInput for blocks or fragments beyond the model's context, or more codes than there are features."""
    _check_lengths(params)
    _check_topk(params)
    _check_k(params)


def _check_lengths(params: Params) -> None:
    if not grid.harvested_sites(params):
        return
    longest = None
    with suppress(BadInput):  # its config is not on this machine
        longest = longest_context(shapes.config_of(params))
    if longest is None:
        return
    (key, most), own = longest, params.dataset
    wanted = f"at most {most}: {key} of {params.model.name}"
    if own.context > most:
        raise BadInput(f"{PLACE}: dataset.context", str(own.context), wanted)
    begins = own.bos == "always" or (own.bos == "auto" and _has_bos(Path(params.model.name).expanduser()))
    if own.fragment_tokens + begins > most:
        found = f"{own.fragment_tokens}{' and BOS' if begins else ''}"
        raise BadInput(f"{PLACE}: dataset.fragment_tokens", found, wanted.replace(":", " in all:", 1))


def _has_bos(folder: Path) -> bool:
    """Whether the tokenizer in `folder` says that it has a BOS token; others may have one all the same."""
    with suppress(OSError, ValueError, AttributeError):
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        return bool(settings.get("bos_token"))
    return False


def _check_topk(params: Params) -> None:
    """As stage baselines."""
    largest = max(params.baselines.topk, default=0) if params.baselines.topk_methods else 0
    for site, width in _widths(params).items():
        if grid.is_grid_site(params, site) and largest > width:
            raise BadInput(f"{PLACE}: baselines.topk", str(largest), f"at most {width}, the dimensions of {site}")


def _check_k(params: Params) -> None:
    """As stage dictionaries, but of all cells at once."""
    too_many: dict[str, set[int]] = {"grid.k": set(), "autointerp.random_weights.k": set()}
    narrow: dict[str, list[str]] = {place: [] for place in too_many}
    for site, width in _widths(params).items():
        place = "grid.k" if grid.is_grid_site(params, site) else "autointerp.random_weights.k"
        for cell in grid.cells(params, site):
            n_feat = round(cell.ratio * width)
            above = {member.k for member in cell.members if member.k is not None and member.k > n_feat}
            if above:
                too_many[place] |= above
                narrow[place].append(f"at most {n_feat}, the features of {cell.name} of {site}")
    for place, cells in narrow.items():
        if cells:
            wanted = f"{'; '.join(cells)} (grid.only can leave cells out)"
            raise BadInput(f"{PLACE}: {place}", ", ".join(map(str, sorted(too_many[place]))), wanted)


def _widths(params: Params) -> dict[str, int]:
    """The dimensions of sites and controls, where config.json or the heads of imported files say them."""
    config: dict[str, Any] = {}
    with suppress(BadInput):
        config = shapes.config_of(params) if grid.harvested_sites(params) else {}
    found = {}
    for site in grid.sites_with_controls(params):
        folder, width = params.activations.imported.get(site), None
        with suppress(BadInput, OSError):
            width = (
                imported.rows_and_width(folder)[1] if folder else leaves.width_of(config, sites.parse(site).location)
            )
        if width is not None:
            found[site] = width
    return found

"""Whether settings fit the sizes of the model or of imported vectors, as far as these are known before a run."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from sparse_coding import methods
from sparse_coding.errors import BadInput
from sparse_coding.files.model_files import longest_context
from sparse_coding.forecast.counting import imported, shapes
from sparse_coding.settings import grid, outside, sites
from sparse_coding.settings.grid import Cell
from sparse_coding.settings.params import Params

PLACE = "params.yaml"


def check(params: Params) -> None:
    """Raise BadInput for blocks or fragments beyond the model's context, or more codes than there are features.

    Also for ratios that are one number of features: they would be the same dictionaries under two names.
    """
    _check_lengths(params)
    widths = _widths(params)
    _check_topk(params, widths)
    _check_ratios(params, widths)
    for strength in methods.COUNTING:
        _check_codes(params, widths, strength)


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


def _check_topk(params: Params, widths: dict[str, int]) -> None:
    """As stage baselines."""
    largest = max(params.baselines.topk, default=0) if params.baselines.topk_methods else 0
    for site, width in widths.items():
        if largest > width:
            raise BadInput(f"{PLACE}: baselines.topk", str(largest), f"at most {width}, the dimensions of {site}")


def _check_ratios(params: Params, widths: dict[str, int]) -> None:
    for site, width in widths.items():
        first: dict[tuple[str, int, str | None], Cell] = {}
        for cell in grid.cells(params, site):
            n_feat = round(cell.ratio * width)
            other = first.setdefault((cell.architecture, n_feat, cell.control), cell)
            if other is not cell:
                found = f"{other.ratio:g} and {cell.ratio:g}, both {n_feat} features ({cell.architecture} at {site})"
                raise BadInput(f"{PLACE}: grid.ratios", found, "one of them, or ratios further apart")


def _check_codes(params: Params, widths: dict[str, int], strength: methods.Strength) -> None:
    """As stage dictionaries, but of all cells at once."""
    too_many: set[float] = set()
    narrow: list[str] = []
    for site, width in widths.items():
        for cell in grid.cells(params, site):
            n_feat = round(cell.ratio * width)
            above = {member.value for member in cell.members if member.strength == strength and member.value > n_feat}
            if above:
                too_many |= above
                narrow.append(f"at most {n_feat}, the features of {cell.name} of {site}")
    if narrow:
        wanted = f"{'; '.join(narrow)} (grid.only can leave cells out)"
        raise BadInput(f"{PLACE}: grid.{strength}", ", ".join(f"{value:g}" for value in sorted(too_many)), wanted)


def _widths(params: Params) -> dict[str, int]:
    """The dimensions of the grid's sites, where config.json or the heads of imported files say them.

    Controls are of the width of their sites, and of settings that these have.
    """
    config: dict[str, Any] = {}
    with suppress(BadInput):
        config = shapes.config_of(params) if grid.harvested_sites(params) else {}
    found = {}
    for site in params.grid.sites:
        folder, width = params.activations.imported.get(site), None
        with suppress(BadInput, OSError):
            width = (
                imported.rows_and_width(folder)[1] if folder else outside.width_of(config, sites.parse(site).location)
            )
        if width is not None:
            found[site] = width
    return found

"""Where a dictionary fits, on the command line."""

from pathlib import Path
from typing import Any

from sparse_coding.load import load_dictionary
from sparse_coding.using import fitting
from sparse_coding.using.fitting import FITS

SHOWN = 6
RESULTS = Path("results")


def said(file: Path, **told: Any) -> str:
    """The best places and scales for a dictionary of any format, and what that means. Raises as fitting.fits."""
    found = fitting.fits(load_dictionary(file, **told), RESULTS)
    wide = max(len(f"{fit.site}, {fit.scale}") for fit in found[:SHOWN])
    lines = [f"  {f'{fit.site}, {fit.scale}':{wide}}  FVU {fit.fvu:8.3f}  L0 {fit.l0:7.1f}" for fit in found[:SHOWN]]
    head = f"Where it fits, on {fitting.ROWS} vectors of each site in {RESULTS}/activations (vectors as scaled):"
    return "\n".join([head, *lines, _verdict(found)])


def _verdict(found: list[fitting.Fit]) -> str:
    best = found[0]
    if best.fvu >= FITS:
        return f"It fits none of them: the best FVU is {best.fvu:.2f}, and the mean alone has 1."
    return f"It fits best: {best.site}, vectors {best.scale}."

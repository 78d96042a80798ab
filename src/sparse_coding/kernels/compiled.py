"""How the loops are compiled: once for each machine, at their first call; then they come from numba's cache."""

from collections.abc import Callable
from typing import Any

import numba

# Sums may be taken in another order and with fused multiply-adds, which vector units need. Infinities and NaN keep
# their meaning: a training that diverges is found by them.
FASTMATH = {"contract", "reassoc", "nsz"}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as machine code; where no folder for numba's cache can be written, it is compiled in each process."""
    options: dict[str, Any] = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy"}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:
        return numba.njit(**options)(function)

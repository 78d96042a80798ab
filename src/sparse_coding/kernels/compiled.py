"""How the loops are compiled: once for each machine, at their first call; then they come from numba's cache."""

from collections.abc import Callable
from typing import Any

import numba

# Sums may be taken in another order and with fused multiply-adds, which vector units need. Infinities and NaN keep
# their meaning: a training that diverges is found by them.
FASTMATH = {"contract", "reassoc", "nsz"}

compiled: Callable[[Callable[..., Any]], Callable[..., Any]] = numba.njit(
    nogil=True, cache=True, fastmath=FASTMATH, error_model="numpy"
)

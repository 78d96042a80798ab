"""How the loops are compiled: once for each machine, at their first call; then they come from numba's cache."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import IndexDataCacheFile

# Sums may be taken in another order and with fused multiply-adds, which vector units need. Infinities and NaN keep
# their meaning: a training that diverges is found by them.
FASTMATH = {"contract", "reassoc", "nsz"}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as machine code; where no folder for numba's cache can be written, it is compiled in each process."""
    options: dict[str, Any] = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy"}
    try:
        made = numba.njit(cache=True, **options)(function)
        _keep_apart(made._cache)
    except (RuntimeError, AttributeError, TypeError):
        return numba.njit(**options)(function)
    return made


def _keep_apart(cache: Any) -> None:
    """Machine code in files of its own for each version of all loops.

    numba compares the file of a function alone: it would go on with what the function calls as that was before an
    edit or an upgrade. It has no setting for this.
    """
    cache._cache_file = IndexDataCacheFile(cache.cache_path, f"{cache._impl.filename_base}-{STAMP[:16]}", STAMP)


def _stamp() -> str:
    """A hash of all loops."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


STAMP = _stamp()

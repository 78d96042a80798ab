"""HDF5 files that appear whole or not at all, and that survive a full disk."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from sparse_coding.atomic import whole_file


class HeldError(io.FileIO):
    """A file whose failed writes seem to work; `check` raises what was held back.

    HDF5 writes when it likes, also while Python collects garbage, where nothing can be raised; and after a write
    that failed it may crash the process.
    """

    _error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of `data`, or keep the error."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self._error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = error
        return size

    def check(self) -> None:
        """Raise the OSError of the first write that failed, if one did."""
        if self._error is not None:
            raise self._error


@contextmanager
def whole_hdf5(path: Path, **options: Any) -> Iterator[tuple[h5py.File, HeldError]]:
    """An empty HDF5 file to fill, and the file under it to `check` from time to time.

    The file appears at `path` when the block ends well. Raises as `whole_file`.
    """
    with whole_file(path) as temporary, HeldError(temporary, "w+") as raw:
        with h5py.File(raw, "w", **options) as file:
            yield file, raw
        raw.check()

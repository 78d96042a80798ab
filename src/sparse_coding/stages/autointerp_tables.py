"""Stage autointerp, gathering: the scores of all interpreted dictionaries of a site, in one table."""

from pathlib import Path

from sparse_coding.io import tables
from sparse_coding.slices import TablesSlice


def run(settings: TablesSlice, *, scores: list[Path], output: Path) -> None:
    """Write `<output>/table.parquet`, in the order of the files."""
    rows = [row for path in scores for row in tables.read(path, tables.AUTOINTERP).to_pylist()]
    tables.write(output / "table.parquet", rows, tables.AUTOINTERP)

"""Stage evaluation, gathering: the rows and firing frequencies of all dictionaries of a site, in two tables."""

import json
from pathlib import Path

from sparse_coding.io import tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.settings.slices import TablesSlice


def run(settings: TablesSlice, *, rows: list[Path], frequencies: list[Path], output: Path) -> None:
    """Write `<output>/table.parquet` and `<output>/frequency.parquet`, in the order of the files."""
    evaluated = [row for path in rows for row in json.loads(path.read_bytes())]
    fired = [row for path in frequencies for row in tables.read(path, FREQUENCY).to_pylist()]
    tables.write(output / "frequency.parquet", fired, FREQUENCY)
    tables.write(output / "table.parquet", evaluated, EVALUATION)

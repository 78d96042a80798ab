"""Stage summary: every dictionary of every site in one CSV file, with its path, settings and metrics."""

from pathlib import Path

from sparse_coding.io.tables import EVALUATION, read, write_csv
from sparse_coding.slices import SummarySlice


def run(settings: SummarySlice, *, tables: list[Path], output: Path) -> None:
    """Gather the evaluation tables of all sites, in the order given, into the CSV file `output`."""
    rows = [row for path in tables for row in read(path, EVALUATION).to_pylist()]
    write_csv(output, rows, EVALUATION.names)

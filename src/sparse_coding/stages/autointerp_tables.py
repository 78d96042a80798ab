"""Stage autointerp, gathering: the scores of all interpreted dictionaries of a site in one table, and their means."""

import sys
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.interp.means import COLUMNS, JUDGED_COLUMNS, means
from sparse_coding.interp.one_model import ONE, mixed
from sparse_coding.io import judged, tables
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.settings.params import MOST_FAILED
from sparse_coding.settings.slices import AutointerpTablesSlice


def run(settings: AutointerpTablesSlice, *, scores: list[Path], output: Path) -> None:
    """Write `<output>/table.parquet` and `<output>/means.csv`, dictionaries in the order of the files.

    Raises BadInput where one model was asked and two answered. Where more than MOST_FAILED of a dictionary's sample
    failed, a line on stderr says how far its mean could be off.
    """
    rows = [row for path in scores for row in judged.read(path).to_pylist()]
    if several := mixed(rows):
        raise BadInput(output / "table.parquet", several, ONE)
    names = list(dict.fromkeys(row["name"] for row in rows))
    lines = sorted(means(rows, settings.bootstrap), key=lambda line: names.index(line["name"]))
    for line in lines:
        if line["failed"] > MOST_FAILED * line["sampled"]:
            print(_warning(line), file=sys.stderr)
    asked_models = bool(scores) and judged.schema_of(scores[0]) is judged.JUDGED
    tables.write_csv(output / "means.csv", lines, JUDGED_COLUMNS if asked_models else COLUMNS)
    tables.write(output / "table.parquet", rows, judged.JUDGED if asked_models else AUTOINTERP)


def _warning(line: tables.Row) -> str:
    failed = f"{line['failed']} of {line['sampled']} sampled features failed"
    said = f"warning: {line['name']} ({line['condition']}, {line['source']}): {failed}"
    if line["mean"] is None:
        return f"{said}, and none was scored"
    low, high = line["mean_failed_low"], line["mean_failed_high"]
    return f"{said}; its mean of {line['mean']:.3f} is {low:.3f} if all of them count as 0, {high:.3f} if as 1"

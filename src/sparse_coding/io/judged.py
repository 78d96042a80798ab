"""The tables of scorers that ask language models: those of token rules, with more columns."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sparse_coding.io import tables
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.io.tables.columns import NUMBER, TEXT

# server: who was asked; explainer_answered, judge_answered: what they call themselves who answered.
# shown: what the explainer saw, "nothing" where there is none. negatives: what the firing texts were told from.
JUDGED = pa.schema(
    [
        *AUTOINTERP,
        *(pa.field(name, TEXT) for name in ("server", "explainer_answered", "judge_answered")),
        pa.field("shown", TEXT, nullable=False),
        pa.field("negatives", TEXT),
        *(pa.field(name, NUMBER) for name in ("auc", "accuracy", "expected_accuracy")),
    ]
)


def schema_of(path: Path) -> pa.Schema:
    """Which of the two a file has; AUTOINTERP where that cannot be read."""
    try:
        return JUDGED if "shown" in pq.read_schema(path).names else AUTOINTERP
    except (pa.ArrowException, OSError):
        return AUTOINTERP


def read(path: Path) -> pa.Table:
    """Read a table of either kind. Raises BadInput as tables.read."""
    return tables.read(path, schema_of(path))
